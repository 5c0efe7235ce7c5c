//! Turns that died with whoever ran them: they end, and what they reserved is given back.

use shared_core::credits::TURN_DIES_AFTER;

use crate::{Failure, Run};

pub(crate) async fn end(run: &mut Run<'_>) -> Result<(), Failure> {
    while !run.is_out_of_time() {
        let now = run.deps.clock.now();
        let dead = run.deps.jobs.end_dead_turns(now - TURN_DIES_AFTER, now).await?;
        if dead.turns == 0 {
            break;
        }
        run.swept.turns_ended += dead.turns;
        run.swept.credits_given_back += dead.credits;
    }
    Ok(())
}
