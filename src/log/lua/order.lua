-- Behind `entries`, in scripts that find the stream in disorder.

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
