-- In front of every script of a realm: its generation, and appending to its log.
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
-- Seconds that reports are kept: longer than any session lives.
local REPORTS_LIVE_S = 8 * 86400
-- Records and bytes of one entry of the stream. It is read whole, also for its offset alone.
local ENTRY_RECORDS, ENTRY_BYTES = 64, 4096

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
    call('EXPIRE', key, REPORTS_LIVE_S)
    return #nodes
end

-- A life of the log without a past: nothing that was sent before counts.
local function begin_anew(rid)
    local now = now_ms()
    local m = { gid = int(now) .. '.' .. nonce, o = 0, t = ZERO, st = 'open', fl = now, lf = int(now),
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

-- Everything that was sent up to now is to begin anew.
local function begin_dirty_generation(m)
    local earlier = call('HGET', base .. 'gb', m.gid)
    next_generation(m, now_ms())
    note_beginning(m, earlier or m.o)
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
    if not (m.gid and m.o and m.t and m.st and m.fl and m.gl and m.lf and counter(m.gid)) then
        m = begin_anew(rid)
    else
        if v[1] ~= rid then begin_generation(m, rid) end
        if m.st == 'fenced' then settle(m) end
    end
    if waits_for ~= '' then m.good = good_replicas(info) end
    return m
end

-- One field of an entry of the stream.
local function field(entry, name)
    for index = 1, #entry[2], 2 do
        if entry[2][index] == name then return entry[2][index + 1] end
    end
end

-- The offset of the first record of an entry.
local function first_of(entry)
    return tonumber(string.match(entry[1], '^%d+')) - (tonumber(field(entry, 'n')) or 1) + 1
end

-- The oldest offset that is kept; the next one when none is.
local function oldest(m)
    local first = call('XRANGE', base .. 'l', '-', '+', 'COUNT', '1')[1]
    return first and first_of(first) or m.o + 1
end

-- Lets go of what is before `offset`, about, and notes what is kept: asking for the oldest
-- entry each time would read it whole.
local function trim(m, offset)
    call('XTRIM', base .. 'l', 'MINID', '~', int(math.max(0, offset)))
    m.f = oldest(m)
end

-- The tag of the record at `offset`, as long as that is kept.
local function tag_at(offset)
    local entry = call('XRANGE', base .. 'l', offset .. '-0', '+', 'COUNT', '1')[1]
    local records, at = entry and field(entry, 'r'), 1
    local before = entry and tonumber(offset) - first_of(entry) or -1
    if not records or before < 0 then return nil end
    for _ = 1, before do
        local _, stop, a, b, c = string.find(records, '^%x+ . (%d+) (%d+) (%d+)\n', at)
        if not stop then return nil end
        at = stop + a + b + c + 1
    end
    return string.sub(records, at, at + 15)
end

-- Whether an entry was written by a script of ours.
local function is_ours(entry)
    local records = string.match(entry[1], '^%d+%-0$') and field(entry, 'r')
    return records and string.find(records, '^%x+ . %d+ %d+ %d+\n') ~= nil
        and field(entry, 'p') ~= nil and field(entry, 'g') ~= nil
end

-- Removes entries that somebody else wrote: the newest ones, and some after `offset`. Then
-- the end of the log is the newest entry again. How many things were not in order.
local function put_in_order(m, offset)
    local l, found = base .. 'l', 0
    local function clean(entries)
        for _, entry in ipairs(entries) do
            if not is_ours(entry) then found = found + call('XDEL', l, entry[1]) end
        end
        return #entries
    end
    clean(call('XRANGE', l, '(' .. offset .. '-0', '+', 'COUNT', '128'))
    local before
    repeat
        before = found
        clean(call('XREVRANGE', l, '+', '-', 'COUNT', '16'))
    until found == before
    local stream = redis.pcall('XINFO', 'STREAM', l)
    local newest
    for index = 1, #stream, 2 do
        if stream[index] == 'last-generated-id' then newest = stream[index + 1] end
    end
    if not newest or newest == int(m.o) .. '-0' then return found end
    local last = call('XREVRANGE', l, '+', '-', 'COUNT', '1')[1]
    if last then
        m.o = tonumber(string.match(last[1], '^%d+'))
        m.t = tag_at(int(m.o)) or m.t
    end
    call('XSETID', l, int(m.o) .. '-0')
    call('HSET', KEYS[1], 'o', int(m.o), 't', m.t)
    return found + 1
end

-- Keeps the log within its bytes, now and then.
local function trim_bytes(m)
    local used = call('MEMORY', 'USAGE', base .. 'l', 'SAMPLES', '5')
    if used and used > maxbytes then
        trim(m, m.o + 1 - math.floor((m.o + 1 - m.f) * maxbytes / used))
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

-- Appends records `{tag, told, kept, how many}` and tells every node. One of these may stand
-- for several records in a row; its tag is that of the last one.
--
-- An entry of the stream holds as many records as fit, and has the offset of the last one:
-- twenty cost Redis little more than one. Its fields: `r` the records, `p` the tag before the
-- first, `g` the generation, `n` how many.
local function append(m, records)
    if #records == 0 then return end
    local l, before, tag_before, entry_tag = base .. 'l', m.o, m.t, m.t
    local told, kept, bytes, count = { '' }, {}, 0, 0
    local function write()
        -- A text is hashed whole whenever it is made: none is made that is here.
        local whole = #kept == 1 and kept[1] or table.concat(kept)
        local function add(by)
            return by('XADD', l, int(m.o) .. '-0', 'r', whole, 'p', entry_tag, 'g', m.gid, 'n', int(count))
        end
        local added = add(redis.pcall)
        if type(added) == 'table' then
            -- Only the first one can fail: nothing is there yet.
            local head = { o = before, t = tag_before }
            if put_in_order(head, int(before)) == 0 then error(added) end
            if head.o ~= before then error({ err = 'TRYAGAIN the log had another end' }) end
            add(call)
        end
        kept, bytes, count, entry_tag = {}, 0, 0, m.t
    end
    for index, record in ipairs(records) do
        local many, size = record[4] or 1, #record[3]
        if count > 0 and (count + many > ENTRY_RECORDS or bytes + size > ENTRY_BYTES) then write() end
        told[index + 1], kept[#kept + 1] = record[2], record[3]
        bytes, count = bytes + size, count + many
        m.o, m.t = m.o + many, record[1]
    end
    write()
    told[1] = string.format('R %s %d %s %d\n', m.gid, before + 1, tag_before, m.o - before)
    local message = table.concat(told)
    m.by = m.by + #message
    if m.by > maxbytes / 8 then
        trim_bytes(m)
        m.by = 0
    end
    -- Whole nodes of the stream go at a time, so there is nothing to do more often.
    if math.floor(before / 128) ~= math.floor(m.o / 128) then
        trim(m, m.o + 1 - maxlen)
    end
    call('HSET', KEYS[1], 'o', int(m.o), 't', m.t, 'by', int(m.by), 'f', int(m.f))
    call(publish, base .. 't', message)
end

-- What a script answers while nothing may be written; nil when it may. A replica that left
-- may be the primary by now: what is written here would be lost, though another one had it.
local function refusal(m)
    if m.st == 'fenced' then return { 'FENCED', m.gid } end
    if m.good and m.good ~= waits_for then return { 'REPLICAS', m.gid, m.good } end
end
