-- What the agent has said while the reply could not be stored as a whole (the disk was full, say): the agent is not asked again.
ALTER TABLE channel_turns ADD COLUMN in_hand TEXT; -- the agent's words, '' if it chose silence; NULL: none is in hand, or the turn has ended
