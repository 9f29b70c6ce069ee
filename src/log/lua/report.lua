-- A node says the last record that it has seen, sent or acknowledged. Own arguments: its
-- offset and tag.
--
-- Answers {'OK', gid, verdict}: 'c' when all that it knew is still in the log, 'd' when
-- not, 'p' while others have to report.
local m = check()
local offset, tag = ARGV[OWN], ARGV[OWN + 1]

local function is_kept()
    if offset == '0' then return true end
    if tonumber(offset) > m.o then return false end
    if tonumber(offset) == m.o and tag == m.t then return true end
    if tonumber(offset) < oldest(m) then return true end
    local entry = call('XRANGE', base .. 'l', offset .. '-0', offset .. '-0')[1]
    for index = 1, entry and #entry[2] or 0, 2 do
        if entry[2][index] == 't' then return entry[2][index + 1] == tag end
    end
    return false
end

local verdict = is_kept() and 'c' or 'd'
local key = base .. 'w:' .. m.gid
call('HSET', key, me, verdict .. ' ' .. offset .. ' ' .. tag)
call('EXPIRE', key, 3600)
if m.st == 'fenced' then settle(m) end
if m.st == 'fenced' then return { 'OK', m.gid, 'p' } end
if m.fl == counter(m.gid) then verdict = 'd' end
return { 'OK', m.gid, verdict }
