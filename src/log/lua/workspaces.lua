-- All workspaces of the bus, and where that is true.
--
-- Answers {'OK', gid, offset, tag, rows}.
local m = check()
return { 'OK', m.gid, int(m.o), m.t, call('HGETALL', base .. 'pw') }
