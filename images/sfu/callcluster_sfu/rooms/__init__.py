"""The rooms that this SFU serves: follows their ledgers, speaks by posts, has the plane carry it out."""
