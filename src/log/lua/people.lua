-- Behind the prelude, in scripts that read or change memberships.
--
-- `u:<hex user>` holds "<letter>:<id>" -> "from:to[,from:to…]" in offsets of one life of
-- the log ("@"). Of an earlier life only who is a member now has a meaning.

local function hex(text)
    return (string.gsub(text, '.', function(c) return string.format('%02x', string.byte(c)) end))
end

local function user_key(user)
    return base .. 'u:' .. hex(user)
end

local function group_key(topic)
    return base .. 'g:' .. string.sub(topic, 1, 2) .. hex(string.sub(topic, 3))
end

local function is_open(stretches)
    return stretches and string.sub(stretches, -2) == ':0'
end

-- Brings the rows of an earlier life into this one: members since ever, or never.
local function renew_rows(m, key)
    local life = call('HGET', key, '@')
    if life == m.lf then return end
    if life then
        local rows = call('HGETALL', key)
        for index = 1, #rows, 2 do
            local topic = rows[index]
            if topic ~= '@' and topic ~= '#' then
                call('HSET', key, topic, is_open(rows[index + 1]) and '0:0' or '1:1')
            end
        end
    end
    call('HSET', key, '@', m.lf)
end

-- Stretches that ended before what is kept decide nothing any more; the last one stays.
local function forget_before(stretches, first)
    local all, kept = {}, {}
    for from, to in string.gmatch(stretches, '(%d+):(%d+)') do
        all[#all + 1] = { from .. ':' .. to, tonumber(to) }
    end
    for index, stretch in ipairs(all) do
        if index == #all or stretch[2] > first then kept[#kept + 1] = stretch[1] end
    end
    return table.concat(kept, ',')
end

local function join(m, user, topic, offset)
    local key = user_key(user)
    renew_rows(m, key)
    local stretches = call('HGET', key, topic)
    if is_open(stretches) then return end
    local now = int(offset) .. ':0'
    if stretches then now = forget_before(stretches, m.f) .. ',' .. now end
    call('HSET', key, topic, now)
    call('HINCRBY', key, '#', 1)
    call('ZADD', group_key(topic), int(offset), user)
end

local function leave(m, user, topic, offset)
    local key = user_key(user)
    renew_rows(m, key)
    local stretches = call('HGET', key, topic)
    if is_open(stretches) then
        call('HSET', key, topic, string.sub(stretches, 1, -2) .. int(offset))
        call('HINCRBY', key, '#', -1)
        call('ZREM', group_key(topic), user)
    elseif not stretches then
        call('HSET', key, topic, int(offset) .. ':' .. int(offset))
    end
end

-- How many topics a user is in.
local function open_count(m, user)
    local key = user_key(user)
    renew_rows(m, key)
    return tonumber(call('HGET', key, '#') or '0')
end

-- Rows of a user as they count in this life.
local function rows_of(m, user)
    local key = user_key(user)
    local rows = call('HGETALL', key)
    if #rows > 0 and call('HGET', key, '@') ~= m.lf then
        renew_rows(m, key)
        rows = call('HGETALL', key)
    end
    return rows
end

-- When tokens of everyone and of this user ended, and whether this login did.
local function revocations(user, sid)
    local at = call('HMGET', base .. 'r', '*', 'u:' .. user)
    local ended = sid ~= '' and call('ZSCORE', base .. 'rs', sid)
    return at[1] or '', at[2] or '', ended and '1' or ''
end

local function ends(issued_at, everyone, user, session)
    local function before(cut)
        return cut ~= '' and (issued_at == '' or tonumber(issued_at) * 1000 < tonumber(cut))
    end
    return session == '1' or before(everyone) or before(user)
end

-- What a connection subscribed to: rows like those of memberships, in `sw:<connection>`.
local WATCHES_KEPT = 256
local function watch(m, cid, add, remove, offset)
    local key = base .. 'sw:' .. cid
    if #add > 0 and call('HLEN', key) > WATCHES_KEPT then
        -- What ended before the oldest record decides nothing any more.
        local first, rows = m.f, call('HGETALL', key)
        for index = 1, #rows, 2 do
            local last = tonumber(string.match(rows[index + 1], ':(%d+)$'))
            if last ~= 0 and last < first then call('HDEL', key, rows[index]) end
        end
    end
    for _, name in ipairs(add) do
        local row = call('HGET', key, name)
        if not is_open(row) then
            local now = int(offset) .. ':0'
            call('HSET', key, name, row and forget_before(row, m.f) .. ',' .. now or now)
        end
    end
    for _, name in ipairs(remove) do
        local row = call('HGET', key, name)
        if is_open(row) then call('HSET', key, name, string.sub(row, 1, -2) .. int(offset)) end
    end
end
