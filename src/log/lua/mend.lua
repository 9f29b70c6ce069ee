-- Puts the log in order where somebody else wrote to it. Own argument: the offset after
-- which something could not be read.
--
-- Answers {'OK', gid, how many things were not in order}.
local m = check()
return { 'OK', m.gid, put_in_order(m, ARGV[OWN]) }
