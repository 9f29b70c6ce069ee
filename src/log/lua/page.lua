-- A part of the history of a room. Own arguments: room, number that it ends before ('' for
-- none), how many of those are left out, how many are wanted; or room, 'after', number that
-- it begins after, how many are wanted.
--
-- Answers {number, name, author, moment, text, …}, oldest first.
local uuid, before = ARGV[OWN], ARGV[OWN + 1]
-- No room is as long; beyond it a number is no index for Redis.
local MOST = 2 ^ 53
local skip, limit = math.min(tonumber(ARGV[OWN + 2]), MOST), math.min(tonumber(ARGV[OWN + 3]), MOST)
local index = base .. 'ki:' .. uuid
-- Ranks, so that a page costs the same wherever it is.
local found
if limit < 1 then return {} end
if before == 'after' then
    found = call('ZRANGEBYSCORE', index, '(' .. int(skip), '+inf', 'WITHSCORES', 'LIMIT', 0, int(limit))
else
    if before ~= '' then skip = skip + call('ZCOUNT', index, before, '+inf') end
    found = call('ZREVRANGE', index, int(skip), int(skip + limit - 1), 'WITHSCORES')
end
if #found == 0 then return {} end
local one, other = tonumber(found[2]), tonumber(found[#found])
local first, newest = int(math.min(one, other)), int(math.max(one, other))
local entries = call('XRANGE', base .. 'km:' .. uuid, first .. '-0', newest .. '-0')
local numbers = {}
for at, entry in ipairs(entries) do numbers[at] = string.match(entry[1], '^(%d+)') end
local page, edited = {}, {}
-- In pieces: so many arguments fit into one call.
for from = 1, #numbers, 1000 do
    local some = call('HMGET', base .. 'ke:' .. uuid, unpack(numbers, from, math.min(from + 999, #numbers)))
    for at, text in ipairs(some) do edited[from + at - 1] = text end
end
for at, entry in ipairs(entries) do
    local v = {}
    for field = 1, #entry[2], 2 do v[entry[2][field]] = entry[2][field + 1] end
    local text = edited[at] or v.x
    for _, value in ipairs({ numbers[at], v.i, v.a, v.s, text }) do page[#page + 1] = value end
end
return page
