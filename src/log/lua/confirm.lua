-- Writes something, so that who waits for replicas behind it waits for everything before it.
--
-- Answers {'OK', gid, offset, tag}: where the log ends; or what `refusal` says.
local m = check()
local refused = refusal(m)
if refused then return refused end
call('HSET', KEYS[1], 'c', me)
return { 'OK', m.gid, int(m.o), m.t }
