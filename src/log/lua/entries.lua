-- Behind the prelude, in scripts that read the stream or write to it.

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
