-- A node says the newest records that it has seen, sent or acknowledged. Own arguments: the
-- generation that its tail follows, then pairs of an offset and its tag.
--
-- Answers {'OK', gid, verdict, offset at which the generation began}: 'c' when all that it
-- knew is still in the log, 'd' when not, 'p' while others have to report.
-- Everything that was sent up to now is to begin anew.
local function begin_dirty_generation(m)
    local earlier = call('HGET', base .. 'gb', m.gid)
    next_generation(m, now_ms())
    note_beginning(m, earlier or m.o)
    m.fl = counter(m.gid)
    call('HSET', KEYS[1], 'gid', m.gid, 'g0', int(m.o), 't0', m.t, 'gl', m.gl, 'fl', int(m.fl))
    call(publish, base .. 't', 'G ' .. m.gid .. '\n')
end

local m = check()
-- Somebody may have set the head back.
if tonumber(ARGV[OWN + 1] or 0) > m.o then put_in_order(m, int(m.o)) end
local followed = ARGV[OWN]
local began = call('HMGET', KEYS[1], 'g0', 't0')

-- What was trimmed proves nothing.
local function is_kept(offset, tag)
    if offset == '0' then return true end
    if tonumber(offset) > m.o then return false end
    if tonumber(offset) == m.o then return tag == m.t end
    if offset == began[1] and tag == began[2] then return true end
    return tag_at(offset) == tag
end

local is_known = is_remembered(m, followed)
local is_lost = false
for index = OWN + 1, #ARGV, 2 do
    is_lost = is_lost or not is_kept(ARGV[index], ARGV[index + 1])
end
local is_clean = is_known and counter(followed) >= m.fl and not is_lost
local key = base .. 'w:' .. m.gid
local earlier = call('HGET', key, me) or ''
-- What was once lost stays lost.
local verdict = (is_clean and string.sub(earlier, 1, 1) ~= 'd') and 'c' or 'd'
call('HSET', key, me, verdict .. ' ' .. (ARGV[OWN + 1] or '0') .. ' ' .. (ARGV[OWN + 2] or ZERO))
call('EXPIRE', key, REPORTS_LIVE_S)
if m.st == 'fenced' then
    settle(m)
elseif profile ~= 'ha' and earlier == '' and is_known and is_lost then
    -- Too late to be waited for: an old primary let it acknowledge what nobody else has
    -- heard of, so whoever began meanwhile missed it.
    begin_dirty_generation(m)
end
if m.st == 'fenced' then return { 'OK', m.gid, 'p', began[1] } end
-- What was sent in an earlier generation counts no more when this one began dirty.
if m.fl == counter(m.gid) and followed ~= m.gid then verdict = 'd' end
return { 'OK', m.gid, verdict, began[1] }
