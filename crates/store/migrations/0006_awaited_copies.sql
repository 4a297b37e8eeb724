-- The table whose first copy an event waits for, if it does: until now only the words of `why` told.
ALTER TABLE webhook_events ADD COLUMN awaits_copy_of TEXT;
UPDATE webhook_events SET awaits_copy_of = replace(substr(why, 19), ' is not complete', '')
    WHERE substr(why, 1, 18) = 'the first copy of ';
