-- Reads records, and where the log ends at that moment. Own arguments: the offset after
-- which they are wanted, and how many at most.
--
-- Answers {'OK', gid, offset, tag, oldest offset or 0, entries}.
local m = check()
local first = oldest(m)
if first > m.o then first = 0 end
return { 'OK', m.gid, int(m.o), m.t, int(first),
    call('XRANGE', base .. 'l', '(' .. ARGV[OWN] .. '-0', '+', 'COUNT', ARGV[OWN + 1]) }
