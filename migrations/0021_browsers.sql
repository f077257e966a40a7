-- What a browser is called in authorization_requests and upstream_visits once somebody is signed in there: until now by its cookie.
ALTER TABLE logins ADD COLUMN browser_hash TEXT NOT NULL DEFAULT '';
UPDATE logins SET browser_hash = cookie_hash;
