-- Events of one type, newest first. Without it a list of a rare type, and the page that offers events for a test, walked all events.
CREATE INDEX events_of_type ON events (event_type, id);
