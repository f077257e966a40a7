"""What a person said of their work, whereabouts and plans. Knows SQL and one connection, not what follows from its rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from crypto import new_id
from db import Database

SCHEDULES_MAX = 500


@dataclass(frozen=True)
class WorkEvent:
    """Something said about work, by a person or a system."""

    id: str
    source: str
    status: str
    reason: str | None
    created_at: int
    expires_at: int | None


@dataclass(frozen=True)
class LocationEvent:
    """A place the person was at; its name may be looked up later."""

    id: str
    source: str
    latitude: float
    longitude: float
    name: str | None
    created_at: int
    expires_at: int | None


@dataclass(frozen=True)
class ScheduledStatus:
    """A plan for a date: a work status, a location, or both."""

    date: str
    work_status: str | None
    latitude: float | None
    longitude: float | None
    location_name: str | None
    reason: str | None
    created_at: int
    updated_at: int


class PersonalContextStorage:
    """The rows of one connection: no method can reach another's."""

    def __init__(self, db: Database, connection_id: str):
        self._db, self._connection_id = db, connection_id

    # --- work ---

    def add_work_event(
        self, status: str, reason: str | None, *, source: str = "manual", expires_at: int | None = None, now: int
    ) -> WorkEvent:
        """Keep what was said about work; older events stay."""
        event = WorkEvent(new_id(), source, status, reason, now, expires_at)
        with self._db.write() as run:
            run(
                """
                INSERT INTO work_events
                    (id, connection_id, source, status, reason, created_at, position, expires_at)
                VALUES
                    (:id, :connection_id, :source, :status, :reason, :now,
                    (SELECT count(*) FROM work_events WHERE connection_id = :connection_id AND created_at = :now),
                    :expires_at)
                """,
                id=event.id,
                connection_id=self._connection_id,
                source=source,
                status=status,
                reason=reason,
                now=now,
                expires_at=expires_at,
            )
        return event

    def find_work_event(self, at: int) -> WorkEvent | None:
        """The newest event that was there at a moment and had not expired: at the second it expires, it has."""
        rows = self._db.query(
            """
            SELECT id, source, status, reason, created_at, expires_at
            FROM work_events
            WHERE connection_id = :connection_id AND created_at <= :at AND (expires_at IS NULL OR expires_at > :at)
            ORDER BY created_at DESC, position DESC
            LIMIT 1
            """,
            connection_id=self._connection_id,
            at=at,
        )
        return WorkEvent(*rows[0]) if rows else None

    # --- location ---

    def add_location_event(
        self,
        latitude: float,
        longitude: float,
        name: str | None,
        *,
        source: str = "manual",
        expires_at: int | None = None,
        now: int,
    ) -> LocationEvent:
        """Keep where the person is; older events stay."""
        event = LocationEvent(new_id(), source, latitude, longitude, name, now, expires_at)
        with self._db.write() as run:
            run(
                """
                INSERT INTO location_events
                    (id, connection_id, source, latitude, longitude, name, created_at, position, expires_at)
                VALUES
                    (:id, :connection_id, :source, :latitude, :longitude, :name, :now,
                    (SELECT count(*) FROM location_events WHERE connection_id = :connection_id AND created_at = :now),
                    :expires_at)
                """,
                id=event.id,
                connection_id=self._connection_id,
                source=source,
                latitude=latitude,
                longitude=longitude,
                name=name,
                now=now,
                expires_at=expires_at,
            )
        return event

    def find_location_event(self, at: int, *, not_before: int) -> LocationEvent | None:
        """The newest event made from `not_before` to `at`, both included, that had not expired at `at`."""
        return self._first_location(
            """
            SELECT id, source, latitude, longitude, name, created_at, expires_at
            FROM location_events
            WHERE connection_id = :connection_id AND created_at BETWEEN :not_before AND :at
                AND (expires_at IS NULL OR expires_at > :at)
            ORDER BY created_at DESC, position DESC
            LIMIT 1
            """,
            at=at,
            not_before=not_before,
        )

    def find_last_location(self) -> LocationEvent | None:
        """The newest event, expired or not."""
        return self._first_location(
            """
            SELECT id, source, latitude, longitude, name, created_at, expires_at
            FROM location_events
            WHERE connection_id = :connection_id
            ORDER BY created_at DESC, position DESC
            LIMIT 1
            """
        )

    def find_nameless_location(self) -> LocationEvent | None:
        """The newest event that has no name yet."""
        return self._first_location(
            """
            SELECT id, source, latitude, longitude, name, created_at, expires_at
            FROM location_events
            WHERE connection_id = :connection_id AND name IS NULL
            ORDER BY created_at DESC, position DESC
            LIMIT 1
            """
        )

    def name_location(self, event_id: str, name: str) -> LocationEvent | None:
        """Give a nameless event its name; None if it is gone or has got one meanwhile."""
        with self._db.write() as run:
            rows = run(
                """
                UPDATE location_events
                SET name = :name
                WHERE connection_id = :connection_id AND id = :id AND name IS NULL
                RETURNING id, source, latitude, longitude, name, created_at, expires_at
                """,
                connection_id=self._connection_id,
                id=event_id,
                name=name,
            )
        return LocationEvent(*rows[0]) if rows else None

    def list_location_events(self, *, since: int, until: int, limit: int) -> list[LocationEvent]:
        """The newest events made from `since` to `until`, both included, newest first."""
        rows = self._db.query(
            """
            SELECT id, source, latitude, longitude, name, created_at, expires_at
            FROM location_events
            WHERE connection_id = :connection_id AND created_at BETWEEN :since AND :until
            ORDER BY created_at DESC, position DESC
            LIMIT :limit
            """,
            connection_id=self._connection_id,
            since=since,
            until=until,
            limit=limit,
        )
        return [LocationEvent(*row) for row in rows]

    def _first_location(self, sql: str, **values: int) -> LocationEvent | None:
        rows = self._db.query(sql, connection_id=self._connection_id, **values)
        return LocationEvent(*rows[0]) if rows else None

    # --- plans ---

    def put_schedule(
        self, date: str, work_status: str | None, place: tuple[float, float, str | None] | None, reason: str | None, *, now: int
    ) -> ScheduledStatus:
        """Plan a date, in place of what was planned for it; `place` is latitude, longitude, name."""
        latitude, longitude, location_name = place or (None, None, None)
        with self._db.write() as run:
            rows = run(
                """
                INSERT INTO scheduled_statuses
                    (connection_id, date, work_status, latitude, longitude, location_name, reason, created_at, updated_at)
                VALUES
                    (:connection_id, :date, :work_status, :latitude, :longitude, :location_name, :reason, :now, :now)
                ON CONFLICT (connection_id, date) DO UPDATE
                SET work_status = excluded.work_status, latitude = excluded.latitude, longitude = excluded.longitude,
                    location_name = excluded.location_name, reason = excluded.reason, updated_at = excluded.updated_at
                RETURNING date, work_status, latitude, longitude, location_name, reason, created_at, updated_at
                """,
                connection_id=self._connection_id,
                date=date,
                work_status=work_status,
                latitude=latitude,
                longitude=longitude,
                location_name=location_name,
                reason=reason,
                now=now,
            )
        return ScheduledStatus(*rows[0])

    def find_schedule(self, date: str) -> ScheduledStatus | None:
        """The plan for a date."""
        found = self.list_schedules(since=date, until=date)
        return found[0] if found else None

    def list_schedules(self, *, since: str, until: str) -> list[ScheduledStatus]:
        """The plans for the dates from `since` to `until`, both included, earliest first; at most SCHEDULES_MAX."""
        rows = self._db.query(
            """
            SELECT date, work_status, latitude, longitude, location_name, reason, created_at, updated_at
            FROM scheduled_statuses
            WHERE connection_id = :connection_id AND date BETWEEN :since AND :until
            ORDER BY date
            LIMIT :limit
            """,
            connection_id=self._connection_id,
            since=since,
            until=until,
            limit=SCHEDULES_MAX,
        )
        return [ScheduledStatus(*row) for row in rows]

    def delete_schedule(self, date: str) -> bool:
        """Forget the plan for a date; answers whether there was one."""
        with self._db.write() as run:
            rows = run(
                """
                DELETE FROM scheduled_statuses
                WHERE connection_id = :connection_id AND date = :date
                RETURNING date
                """,
                connection_id=self._connection_id,
                date=date,
            )
        return bool(rows)


def purge_personal_context(db: Database, *, before: int) -> None:
    """Drop what was made before a moment, of every connection, without changing any answer about a moment since.

    So a work event stays while it may still count: until it expires, or until a newer one that never expires takes its place.
    """
    with db.write() as run:
        run(
            """
            DELETE FROM work_events
            WHERE created_at < :before AND (
                expires_at <= :before
                OR EXISTS (
                    SELECT 1
                    FROM work_events AS newer
                    WHERE newer.connection_id = work_events.connection_id AND newer.created_at <= :before
                        AND newer.expires_at IS NULL
                        AND (newer.created_at > work_events.created_at
                            OR (newer.created_at = work_events.created_at AND newer.position > work_events.position))
                )
            )
            """,
            before=before,
        )
        run("DELETE FROM location_events WHERE created_at < :before", before=before)
        run("DELETE FROM scheduled_statuses WHERE date < :date", date=earliest_date(before))


def earliest_date(moment: int) -> str:
    """The earliest date that it is anywhere on Earth at a moment (UTC-12:00)."""
    return datetime.fromtimestamp(moment - 12 * 3600, UTC).date().isoformat()
