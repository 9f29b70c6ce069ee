-- Behind `entries`, in scripts that find the stream in disorder.

-- Whether an entry could be read: it has all fields, and whole records.
local function is_ours(entry)
    local records, count = field(entry, 'r'), tonumber(field(entry, 'n') or 1)
    local generation = field(entry, 'g')
    if not (string.match(entry[1], '^%d+%-0$') and records and is_tag(field(entry, 'p')) and count
        and generation and counter(generation)) then
        return false
    end
    local at = 1
    for _ = 1, count do
        local _, stop, tag, a, b, c = string.find(records, '^(%x+) . (%d+) (%d+) (%d+)\n', at)
        if not is_tag(tag) then return false end
        at = stop + a + b + c + 1
    end
    return at == #records + 1
end

-- Removes entries that somebody else wrote: the newest ones, and some after `offset`. Then
-- the end of the log is the newest entry again. How many things were not in order.
local function put_in_order(m, offset)
    local l, found = base .. 'l', 0
    local function clean(entries)
        for _, entry in ipairs(entries) do
            if not is_ours(entry) then found = found + call('XDEL', l, entry[1]) end
        end
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
