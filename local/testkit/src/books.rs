//! Invariants of the credits' books, which hold whatever happened.

use crate::TestStack;

/// The invariants, each with a query that counts its violations.
const RULES: [(&str, &str); 6] = [
    (
        "a balance is the sum of its ledger",
        "select count(*)
           from allowances a
          where balance <> (select sum(amount) from credit_ledger l
                             where (l.user_id, l.plan, l.starts_at) = (a.user_id, a.plan, a.starts_at))",
    ),
    (
        "an allowance is granted once",
        "select count(*)
           from allowances a
          where granted <> (select sum(amount) from credit_ledger l
                             where l.kind = 'grant'
                               and (l.user_id, l.plan, l.starts_at) = (a.user_id, a.plan, a.starts_at))",
    ),
    (
        "what is gone of an allowance is what turns have taken or hold",
        "select count(*)
           from allowances a
          where granted - balance <> (select coalesce(sum(credits), 0) from turns t
                                       where t.state in ('open', 'settled')
                                         and (t.user_id, t.plan, t.starts_at) = (a.user_id, a.plan, a.starts_at))",
    ),
    (
        "a turn that credits pay has one reserve, and one release unless it is open or settled",
        "select count(*)
           from turns t
          where paid_by = 'credits'
            and (1, case when state in ('open', 'settled') then 0 else 1 end) <>
                (select count(*) filter (where kind = 'reserve'), count(*) filter (where kind <> 'reserve')
                   from credit_ledger l where (l.user_id, l.reference) = (t.user_id, t.answer_id))",
    ),
    (
        "a reserve has its turn",
        "select count(*)
           from credit_ledger l
          where kind = 'reserve'
            and not exists (select from turns t where (t.user_id, t.answer_id) = (l.user_id, l.reference))",
    ),
    (
        "a month's spending of a user's own key is the sum of its turns",
        "select count(*)
           from (select user_id, date_trunc('month', began_at, 'UTC') as month, sum(cost_nano_usd) as cost_nano_usd
                   from turns where paid_by = 'byok' and cost_nano_usd > 0 group by 1, 2) t
           full join byok_spending s using (user_id, month)
          where s.cost_nano_usd is distinct from t.cost_nano_usd",
    ),
];

impl TestStack {
    /// Fails if an allowance, the ledger and the turns disagree.
    pub async fn assert_books_are_right(&self) {
        let owner = self.owner().await;
        for (rule, broken) in RULES {
            let broken: i64 = owner.query_one(broken, &[]).await.unwrap().get(0);
            assert_eq!(broken, 0, "{rule}");
        }
    }
}
