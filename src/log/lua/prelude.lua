-- In front of every script of a realm: its generation. What a script does not need is in other
-- parts: each function that is in front of it is made anew whenever it runs.
--
-- KEYS[1] is the realm's head, `<prefix>:{<realm>}:m`; every other key of the realm has
-- the same beginning and the same slot. The first arguments are always these seven; a
-- script's own begin at OWN.
local base = string.sub(KEYS[1], 1, -2)
local nonce, profile, publish = ARGV[1], ARGV[2], ARGV[3]
local maxlen, maxbytes, me = ARGV[4], tonumber(ARGV[5]), ARGV[6]
-- How many replicas will be waited for; '' when none will.
local waits_for = ARGV[7]
local OWN = 8

local call = redis.call
local ZERO = '0000000000000000'
local FENCE_MS = 5000
-- A node that fell silent so long before the last one is not asked what it saw.
local SILENT_MS = 30000
local GENERATIONS_KEPT = 16
-- No number is as large: beyond 2^53 they are not exact.
local MOST = 9e15
-- Seconds that reports are kept: longer than any session lives.
local REPORTS_LIVE_S = 8 * 86400

-- Lua writes large numbers with an exponent.
local function int(number)
    return string.format('%d', number)
end

local function now_ms()
    local time = call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- The counter of a generation; nil for what is none.
local function counter(gid)
    local number = tonumber(string.match(gid, '^(%d+)%.%x*$'))
    return number and number < MOST and number or nil
end

local function is_tag(text)
    return text and #text == 16 and string.find(text, '^%x+$') ~= nil
end

-- Notes every node that may know more than what is left, so that it has to report.
local function suspect_all(gid)
    local newest = call('ZREVRANGE', base .. 'n', 0, 0, 'WITHSCORES')
    if not newest[1] then return 0 end
    local since = int(tonumber(newest[2]) - SILENT_MS)
    local nodes = call('ZRANGEBYSCORE', base .. 'n', since, '+inf')
    local key = base .. 'w:' .. gid
    for _, node in ipairs(nodes) do
        call('HSET', key, node, '')
    end
    call('EXPIRE', key, REPORTS_LIVE_S)
    return #nodes
end

-- A life of the log without a past: nothing that was sent before counts. `before` is the
-- generation that there was, if one is known.
local function begin_anew(rid, before)
    local from = math.max(now_ms(), (before and counter(before) or 0) + 1)
    local m = { gid = int(from) .. '.' .. nonce, o = 0, t = ZERO, st = 'open', fl = from, lf = int(from),
        by = 0, f = 1 }
    m.gl = m.gid
    call('DEL', base .. 'l', base .. 'pb', base .. 'gb')
    call('HSET', KEYS[1], 'rid', rid, 'gid', m.gid, 'o', '0', 't', ZERO, 'g0', '0', 't0', ZERO,
        'st', m.st, 'dl', '0', 'fl', m.lf, 'gl', m.gl, 'lf', m.lf, 'f', '1')
    call(publish, base .. 't', 'G ' .. m.gid .. '\n')
    return m
end

-- The next generation of the same log.
local function next_generation(m, now)
    m.gid = int(math.max(counter(m.gid) + 1, now)) .. '.' .. nonce
    local kept = {}
    for gid in string.gmatch(m.gl .. ',' .. m.gid, '[^,]+') do kept[#kept + 1] = gid end
    m.gl = table.concat(kept, ',', math.max(1, #kept - GENERATIONS_KEPT + 1))
end

-- True for a generation that the log still remembers.
local function is_remembered(m, gid)
    return string.find(',' .. m.gl .. ',', ',' .. gid .. ',', 1, true) ~= nil
end

-- Notes up to where a generation holds what the one before it held.
local function note_beginning(m, offset)
    call('HSET', base .. 'gb', m.gid, int(offset))
    for _, gid in ipairs(call('HKEYS', base .. 'gb')) do
        if not is_remembered(m, gid) then call('HDEL', base .. 'gb', gid) end
    end
end

-- The same log in a new history of Redis: the end of it may be lost.
local function begin_generation(m, rid)
    local now = now_ms()
    next_generation(m, now)
    local suspects = suspect_all(m.gid)
    m.st = (profile == 'ha' or suspects == 0) and 'open' or 'fenced'
    m.dl = now + FENCE_MS
    call('HSET', KEYS[1], 'rid', rid, 'gid', m.gid, 'g0', int(m.o), 't0', m.t, 'st', m.st,
        'dl', int(m.dl), 'gl', m.gl)
    note_beginning(m, m.o)
    call(publish, base .. 't', 'G ' .. m.gid .. '\n')
end

-- Opens the fence when everybody has reported, or when the time is over. Not before: one
-- node that lost something does not speak for another, which an old primary may still
-- answer.
local function settle(m)
    local is_dirty, is_pending = false, false
    for _, report in ipairs(call('HVALS', base .. 'w:' .. m.gid)) do
        local verdict = string.sub(report, 1, 1)
        is_dirty = is_dirty or verdict == 'd'
        is_pending = is_pending or verdict == ''
    end
    if is_pending and now_ms() < m.dl then return end
    if is_dirty or is_pending then m.fl = counter(m.gid) end
    m.st = 'open'
    call('HSET', KEYS[1], 'st', m.st, 'fl', int(m.fl))
end

-- How many replicas follow, as this server counts them: not those that fell silent.
local function good_replicas(info)
    local good = string.match(info, 'min_slaves_good_slaves:(%d+)')
    return good or int(select(2, string.gsub(info, 'state=online', '')))
end

-- The realm's head, after the check that its history is still the one of this server. What is
-- kept begins with `f`, or later when somebody else trimmed.
local function check()
    -- While a slot moves, what is asked for and missing is an error. Nothing may be written
    -- before that can happen, or half of a change would stay.
    if publish == 'SPUBLISH' then call('EXISTS', base .. 'x') end
    local v = call('HMGET', KEYS[1], 'rid', 'gid', 'o', 't', 'st', 'dl', 'fl', 'gl', 'lf', 'by', 'f')
    local info = call('INFO', 'replication')
    local rid = string.match(info, 'master_replid:(%w+)')
    local m = { gid = v[2], o = tonumber(v[3]), t = v[4], st = v[5], dl = tonumber(v[6] or 0),
        fl = tonumber(v[7]), gl = v[8], lf = v[9], by = tonumber(v[10]) or 0, f = tonumber(v[11]) or 1 }
    local is_whole = m.gid and counter(m.gid) and m.st and m.fl and m.gl and m.lf
    local is_place = m.o and m.o >= 0 and m.o < MOST and m.o % 1 == 0 and is_tag(m.t)
    if not (is_whole and is_place) then
        m = begin_anew(rid, m.gid)
    else
        if v[1] ~= rid then begin_generation(m, rid) end
        if m.st == 'fenced' then settle(m) end
    end
    if waits_for ~= '' then m.good = good_replicas(info) end
    return m
end

-- What a script answers while nothing may be written; nil when it may. A replica that left
-- may be the primary by now: what is written here would be lost, though another one had it.
local function refusal(m)
    if m.st == 'fenced' then return { 'FENCED', m.gid } end
    if m.good and m.good ~= waits_for then return { 'REPLICAS', m.gid, m.good } end
end
