-- A node says the newest records that it has seen, sent or acknowledged. Own arguments: an
-- offset and its tag, for each life of the log that it has not reported about.
--
-- Answers {'OK', gid, verdict}: 'c' when all that it knew is still in the log, 'd' when
-- not, 'p' while others have to report.
local m = check()

local function is_kept(offset, tag)
    if offset == '0' then return true end
    if tonumber(offset) > m.o then return false end
    if tonumber(offset) == m.o then return tag == m.t end
    if tonumber(offset) < oldest(m) then return true end
    local entry = call('XRANGE', base .. 'l', offset .. '-0', offset .. '-0')[1]
    for index = 1, entry and #entry[2] or 0, 2 do
        if entry[2][index] == 't' then return entry[2][index + 1] == tag end
    end
    return false
end

local verdict = 'c'
for index = OWN, #ARGV, 2 do
    if not is_kept(ARGV[index], ARGV[index + 1]) then verdict = 'd' end
end
local key = base .. 'w:' .. m.gid
-- What was once lost stays lost.
if string.sub(call('HGET', key, me) or '', 1, 1) == 'd' then verdict = 'd' end
call('HSET', key, me, verdict .. ' ' .. (ARGV[OWN] or '0') .. ' ' .. (ARGV[OWN + 1] or ZERO))
call('EXPIRE', key, 3600)
if m.st == 'fenced' then settle(m) end
if m.st == 'fenced' then return { 'OK', m.gid, 'p' } end
if m.fl == counter(m.gid) then verdict = 'd' end
return { 'OK', m.gid, verdict }
