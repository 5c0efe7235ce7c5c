-- The product's users, each with the same session and more credits than they can spend.
insert into peer_bun.sessions (id, user_id, expires_at) select id, user_id, expires_at from sessions;
insert into peer_bun.credits (user_id, balance) select id, 1000000 from users;
