-- Reads a session without claiming it. Own argument: connection.
--
-- Answers {'OK', session, rows of watches} or {'UNKNOWN'}.
local s = read_session(ARGV[OWN])
if not s then return { 'UNKNOWN' } end
s.q, s.c = place(ARGV[OWN], s)
return { 'OK', describe(s), call('HGETALL', base .. 'sw:' .. ARGV[OWN]) }
