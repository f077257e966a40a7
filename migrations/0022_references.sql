-- What refers to a row is looked for when that row goes: without an index in the whole table, for each row anew.
CREATE INDEX grant_feature_sets_by_set ON grant_feature_sets (feature_set_id);
CREATE INDEX authorization_requests_by_client ON authorization_requests (client_id);
CREATE INDEX codes_by_client ON codes (client_id);
CREATE INDEX upstream_visits_by_connection ON upstream_visits (connection_id);
CREATE INDEX upstream_signins_by_registration ON upstream_signins (registration_id);
