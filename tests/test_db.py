from conftest import NOW

def test_smoke(db):
    assert db.query("SELECT number FROM revisions")[0]["number"] == 1
    with db.write() as run:
        run("INSERT INTO users (id, name, password_hash, is_owner, created_at) VALUES ('a','b','c',1,:n)", n=NOW)
    assert not db.query("PRAGMA foreign_key_check")
