-- Brings what is kept of users up to date with the records of the nodes that count, and
-- publishes every status that changed.
--
-- A node counts from its first record on, until a sweep finds that its lease has ended:
-- then all nodes stop counting it at the same moment. `pn` node#inc -> its state: the
-- time of Redis at which it came; "!<time>" when it said goodbye, and counts until then;
-- "x<cursor>" when it is dead, and its users are looked at.
local seed = ARGV[OWN]
local IDLE_MAX, CHOSEN_MAX = tonumber(ARGV[OWN + 1]), tonumber(ARGV[OWN + 2])
OWN = OWN + 3

local function is_counted(node, state)
    return node ~= '' and string.sub(state, 1, 1) ~= 'x'
end

local function counted_nodes()
    local states = call('HGETALL', base .. 'pn')
    local nodes = {}
    for index = 1, #states, 2 do
        if is_counted(states[index], states[index + 1]) then nodes[#nodes + 1] = states[index] end
    end
    return nodes
end

local function each_list(command, key, lists)
    for _, list in ipairs(lists) do call(command, key, unpack(list)) end
end

-- Lists that are short enough to be arguments, of single words or of pairs.
local function add(lists, word, other)
    local list = lists[#lists]
    if not list or #list > 2000 then
        list = {}
        lists[#lists + 1] = list
    end
    list[#list + 1] = word
    if other then list[#list + 1] = other end
end

-- Devices that this node does not know yet keep what other nodes know of them: who moves to
-- another node has not done anything by that.
local function inherit(record, at, others, told)
    return (string.gsub(record, ' (%w+):(%d+):(%d+):%+', function(connection, since, active)
        local newest, began = -1
        for _, records in ipairs(others) do
            local found = records[at]
            if found then
                local known, acted = string.match(found, ' ' .. connection .. ':(%d+):(%d+):')
                if known and tonumber(acted) > newest then newest, began = tonumber(acted), known end
            end
        end
        if began and newest < tonumber(active) then
            since, active = began, digits(newest)
            told[#told + 1] = at .. ':' .. connection .. ':' .. since .. ':' .. active
        end
        return ' ' .. connection .. ':' .. since .. ':' .. active .. ':-'
    end))
end

-- Writes `row` down, unless nothing changed, and keeps the books of due and idle users.
local function keep(row, user, seen, holds, books)
    local is_alone = not (seen.is_there or seen.is_in_grace)
    row.newest = seen.newest
    if is_alone or row.touched + away_after <= now then row.touched = 0 end
    local was_due, was_idle = row.due, row.is_idle
    -- A due time may be too early, so that activity does not have to move it.
    if was_due <= now or holds < was_due then row.due = holds end
    row.is_idle = is_alone and row.choice == '-'
    if row.is_idle then row.due = NEVER end
    if row.due ~= was_due then
        if row.due < NEVER then add(books.due, digits(row.due), user) else add(books.not_due, user) end
    end
    local is_known = not row.is_idle or row.newest > 0
    if row.is_idle and is_known and not was_idle then
        add(books.idle, digits(now), user)
    elseif was_idle and not row.is_idle then
        add(books.not_idle, user)
    end
    local chooses = row.choice ~= '-'
    if chooses ~= row.chose then books.chosen = books.chosen + (chooses and 1 or -1) end
    if not is_known then
        if row.text then add(books.forgotten, user) end
        return
    end
    local text = write_row(row)
    if text ~= row.text then add(books.rows, user, text) end
end

-- Forgets the last activity of who went longest ago.
local function bound_idle()
    local surplus = call('ZCARD', base .. 'idle') - IDLE_MAX
    if surplus <= 0 then return end
    local oldest = call('ZRANGE', base .. 'idle', 0, math.min(surplus, 1000) - 1)
    call('HDEL', base .. 'st', unpack(oldest))
    call('ZREM', base .. 'idle', unpack(oldest))
end

local function write_books(books)
    each_list('HSET', base .. 'st', books.rows)
    each_list('HDEL', base .. 'st', books.forgotten)
    each_list('ZADD', base .. 'due', books.due)
    each_list('ZREM', base .. 'due', books.not_due)
    each_list('ZREM', base .. 'idle', books.not_idle)
    each_list('ZADD', base .. 'idle', books.idle)
    if books.chosen ~= 0 then call('HINCRBY', base .. 'st', '', books.chosen) end
    if #books.idle > 0 then bound_idle() end
end

-- `users` are distinct. `mine`: user -> what this node says of them now ('' for nothing).
-- `chosen`: user -> {letter, end}. `past`: user -> newest activity on devices that are gone.
--
-- Answers the number of changes, which are published; what this node has to know of
-- devices; who may not choose, by index; what users chose, by index.
local function settle(m, users, mine, chosen, past)
    local told, refused, choices, records = {}, {}, {}, {}
    if #users == 0 then return 0, told, refused, choices end
    local rows = call('HMGET', base .. 'st', unpack(users))
    local others, other_keys, sent, gone = {}, {}, {}, {}
    local own = next(mine) and me
    for _, node in ipairs(counted_nodes()) do
        -- What this node says replaces what it said, for the users that it speaks of.
        others[#others + 1] = call('HMGET', base .. 'ps:' .. node, unpack(users))
        other_keys[#other_keys + 1] = node
    end
    local books = { rows = {}, forgotten = {}, due = {}, not_due = {}, idle = {}, not_idle = {},
        chosen = 0 }
    local chosen_count = next(chosen) and tonumber(call('HGET', base .. 'st', '') or '0')
    local stale = {}
    for at, user in ipairs(users) do
        local row = read_row(rows[at])
        local seen = seen_nothing(row)
        if past[user] and past[user] > seen.newest then seen.newest = past[user] end
        local said = mine[user]
        for index, node in ipairs(other_keys) do
            local record = others[index][at]
            if said and node == own then
                others[index][at] = false
            elseif record and not see(record, seen) then
                stale[node] = stale[node] or {}
                add(stale[node], user)
            end
        end
        if said and said ~= '' then
            if string.find(said, '+', 1, true) then said = inherit(said, at, others, told) end
            see(said, seen)
            add(sent, user, said)
        elseif said then
            add(gone, user)
        end
        local choice = chosen[user]
        if choice then
            end_choice(row)
            local begins = row.choice == '-' and choice[1] ~= '-' and choice[1] ~= 'n'
            if begins and chosen_count + books.chosen >= CHOSEN_MAX then
                refused[#refused + 1] = at
            else
                choose(row, choice[1], choice[2])
                seen.newest = math.max(seen.newest, row.touched)
            end
        end
        local shown, holds = decide(row, seen)
        if shown ~= row.shown then
            row.shown, row.version = shown, row.version + 1
            local tag = string.sub(redis.sha1hex(seed .. at), 1, 16)
            records[#records + 1] = made(tag, 'f', 's:' .. user,
                '{"n":"status_change","at":' .. digits(now * 1000) .. '}',
                '{"status":"' .. WORDS[shown] .. '","user_id":"' .. user .. '"}')
        end
        if row.choice ~= '-' then
            choices[#choices + 1] = at .. ':' .. row.choice .. ':' .. row.before .. ':' .. row.ends
        end
        keep(row, user, seen, holds, books)
    end
    append(m, records)
    write_books(books)
    each_list('HSET', base .. 'ps:' .. me, sent)
    each_list('HDEL', base .. 'ps:' .. me, gone)
    for node, lists in pairs(stale) do each_list('HDEL', base .. 'ps:' .. node, lists) end
    return #records, told, refused, choices
end

-- When the next user of the realm is due; '-' when none is.
local function next_due()
    local first = call('ZRANGE', base .. 'due', 0, 0, 'WITHSCORES')
    return first[2] or '-'
end
