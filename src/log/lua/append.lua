-- Behind `order`, in scripts that append to the log.

-- Records and bytes of one entry of the stream. It is read whole, also for its offset alone.
local ENTRY_RECORDS, ENTRY_BYTES = 64, 4096

-- Lets go of what is before `offset`, about, and notes what is kept: asking for the oldest
-- entry each time would read it whole.
local function trim(m, offset)
    call('XTRIM', base .. 'l', 'MINID', '~', int(math.max(0, offset)))
    m.f = oldest(m)
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
