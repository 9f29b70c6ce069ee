-- Behind `people`, in scripts that change memberships.

local function group_key(topic)
    return base .. 'g:' .. string.sub(topic, 1, 2) .. hex(string.sub(topic, 3))
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

local function ends(issued_at, everyone, user, session)
    local function before(cut)
        return cut ~= '' and (issued_at == '' or tonumber(issued_at) * 1000 < tonumber(cut))
    end
    return session == '1' or before(everyone) or before(user)
end
