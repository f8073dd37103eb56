-- The whole room.
return state()
