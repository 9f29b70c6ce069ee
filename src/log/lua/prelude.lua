-- In front of every script of a realm: its generation, and appending to its log.
--
-- KEYS[1] is the realm's head, `<prefix>:{<realm>}:m`; every other key of the realm has
-- the same beginning and the same slot. The first arguments are always these six; a
-- script's own begin at OWN.
local base = string.sub(KEYS[1], 1, -2)
local nonce, profile, publish = ARGV[1], ARGV[2], ARGV[3]
local maxlen, maxbytes, me = ARGV[4], tonumber(ARGV[5]), ARGV[6]
local OWN = 7

local call = redis.call
local ZERO = '0000000000000000'
local FENCE_MS = 5000
-- A node that fell silent so long before the last one is not asked what it saw.
local SILENT_MS = 30000
local GENERATIONS_KEPT = 16

-- Lua writes large numbers with an exponent.
local function int(number)
    return string.format('%d', number)
end

local function now_ms()
    local time = call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function counter(gid)
    return tonumber(string.match(gid, '^(%d+)%.'))
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
    call('EXPIRE', key, 3600)
    return #nodes
end

-- A life of the log without a past: nothing that was sent before counts.
local function begin_anew(rid)
    local now = now_ms()
    local m = { gid = int(now) .. '.' .. nonce, o = 0, t = ZERO, st = 'open', fl = now, lf = int(now), by = 0 }
    m.gl = m.gid
    call('DEL', base .. 'l', base .. 'pb')
    call('HSET', KEYS[1], 'rid', rid, 'gid', m.gid, 'o', '0', 't', ZERO, 'g0', '0', 't0', ZERO,
        'st', m.st, 'dl', '0', 'fl', m.lf, 'gl', m.gl, 'lf', m.lf)
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

-- The same log in a new history of Redis: the end of it may be lost.
local function begin_generation(m, rid)
    local now = now_ms()
    next_generation(m, now)
    local suspects = suspect_all(m.gid)
    m.st = (profile == 'ha' or suspects == 0) and 'open' or 'fenced'
    m.dl = now + FENCE_MS
    call('HSET', KEYS[1], 'rid', rid, 'gid', m.gid, 'g0', int(m.o), 't0', m.t, 'st', m.st,
        'dl', int(m.dl), 'gl', m.gl)
    call(publish, base .. 't', 'G ' .. m.gid .. '\n')
end

-- Everything that was sent up to now is to begin anew.
local function begin_dirty_generation(m)
    next_generation(m, now_ms())
    m.fl = counter(m.gid)
    call('HSET', KEYS[1], 'gid', m.gid, 'g0', int(m.o), 't0', m.t, 'gl', m.gl, 'fl', int(m.fl))
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

-- True for a generation that the log still remembers.
local function is_remembered(m, gid)
    return string.find(',' .. m.gl .. ',', ',' .. gid .. ',', 1, true) ~= nil
end

-- The realm's head, after the check that its history is still the one of this server.
local function check()
    local v = call('HMGET', KEYS[1], 'rid', 'gid', 'o', 't', 'st', 'dl', 'fl', 'gl', 'lf', 'by')
    local rid = string.match(call('INFO', 'replication'), 'master_replid:(%w+)')
    local m = { gid = v[2], o = tonumber(v[3]), t = v[4], st = v[5], dl = tonumber(v[6] or 0),
        fl = tonumber(v[7]), gl = v[8], lf = v[9], by = tonumber(v[10]) or 0 }
    if not (m.gid and m.o and m.t and m.st and m.fl and m.gl and m.lf and counter(m.gid)) then
        return begin_anew(rid)
    end
    if v[1] ~= rid then begin_generation(m, rid) end
    if m.st == 'fenced' then settle(m) end
    return m
end

-- Keeps the log within its bytes, now and then.
local function trim_bytes()
    local used = call('MEMORY', 'USAGE', base .. 'l', 'SAMPLES', '5')
    if used and used > maxbytes then
        local keep = math.floor(call('XLEN', base .. 'l') * maxbytes / used)
        call('XTRIM', base .. 'l', 'MAXLEN', '~', int(keep))
    end
end

-- A record that a script makes, as `append` wants it: its tag, what is told of it, and what
-- is kept: both are `<tag> <kind> <lengths>\n`, address, header and body, and nobody keeps
-- an ephemeral body.
local function made(tag, kind, address, header, body)
    local function packed(data)
        local line = string.format('%s %s %d %d %d\n', tag, kind, #address, #header, #data)
        return line .. address .. header .. data
    end
    local whole = packed(body)
    return { tag, whole, kind == 'f' and packed('') or whole }
end

-- Appends records `{tag, told, kept}` and tells every node.
local function append(m, records)
    local count = #records
    if count == 0 then return end
    local before = m.o
    local frame = { 'R ' .. m.gid .. ' ' .. int(before + 1) .. ' ' .. m.t .. ' ' .. count .. '\n' }
    local l = base .. 'l'
    for index, record in ipairs(records) do
        m.o = m.o + 1
        call('XADD', l, string.format('%d-0', m.o), 'r', record[3], 'p', m.t, 'g', m.gid)
        m.t = record[1]
        frame[index + 1] = record[2]
    end
    local message = table.concat(frame)
    m.by = m.by + #message
    if m.by > maxbytes / 8 then
        trim_bytes()
        m.by = 0
    end
    -- Whole nodes of the stream go at a time, so there is nothing to do more often.
    if math.floor(before / 128) ~= math.floor(m.o / 128) then
        call('XTRIM', l, 'MAXLEN', '~', maxlen)
    end
    call('HSET', KEYS[1], 'o', int(m.o), 't', m.t, 'by', int(m.by))
    call(publish, base .. 't', message)
end

-- The tag of the record at `offset`, as long as that is kept.
local function tag_at(offset)
    local entry = call('XRANGE', base .. 'l', offset .. '-0', offset .. '-0')[1]
    for index = 1, entry and #entry[2] or 0, 2 do
        if entry[2][index] == 'r' then return string.sub(entry[2][index + 1], 1, 16) end
    end
end

-- The first offset that is kept; the next one when none is.
local function oldest(m)
    local first = call('XRANGE', base .. 'l', '-', '+', 'COUNT', '1')[1]
    return first and tonumber(string.match(first[1], '^(%d+)')) or m.o + 1
end

-- What a script answers while nothing may be written.
local function fenced(m)
    return { 'FENCED', m.gid }
end
