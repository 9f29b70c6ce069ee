-- Does something in a chat room, and tells of it. Own arguments: verb, moment in
-- microseconds and in seconds, lifetime of a session in ms, of a silent socket in ms,
-- messages that a room keeps, tags for records in one text, connection, user, number of the
-- claim under which the connection is held; then those of the verb.
--
-- Answers {'OK', gid, offset, tag, outcome, …}, {'NO', reason}, or what
-- `refusal` says.
local m = check()
local refused = refusal(m)
if refused then return refused end
local verb, at_us, at_s = ARGV[OWN], ARGV[OWN + 1], ARGV[OWN + 2]
local ttl, silence, history = ARGV[OWN + 3], tonumber(ARGV[OWN + 4]), tonumber(ARGV[OWN + 5])
local tags, cid, user, fencing = ARGV[OWN + 6], ARGV[OWN + 7], ARGV[OWN + 8], ARGV[OWN + 9]
local FIRST = OWN + 10
local ROOMS_MAX, MADE_MAX, DELETED_MAX, SWEPT_MAX = 100000, 10000, 1000, 64
-- Sessions that one look at an unused room asks for.
local HEARERS_AT_ONCE = 32

local records = {}

local function tell(kind, address, header, body)
    local index = #records
    local tag = string.sub(tags, index * 16 + 1, index * 16 + 16)
    records[index + 1] = made(tag, kind, address, header, body)
end

local function tell_room(room, address)
    local users = #room.users > 0 and '["' .. table.concat(room.users, '","') .. '"]' or '[]'
    tell('e', address, '{"at":' .. at_us .. ',"n":"chat_room"}', subject(room) .. ',"uuid":"' .. room.uuid
        .. '","label":' .. room.label .. ',"users":' .. users .. ',"updated_at":' .. room.updated .. '}')
end

-- Data of an event about a message begins like this; its name is the event's id.
local function tell_message(name, room, message, rest)
    tell('e', 'h:' .. room.uuid, '{"at":' .. at_us .. ',"n":"' .. name .. '","i":"' .. message.uuid .. '"}',
        subject(room) .. ',"uuid":"' .. message.uuid .. '","room":"' .. room.uuid .. '","author":"'
        .. message.author .. '"' .. rest .. '}')
end

local function was_used(uuid)
    return call('HEXISTS', base .. 'kr:' .. uuid, 'n') == 1
end

local function tell_watch(uuid, is_on)
    local name = 'h:' .. uuid
    local list = '["' .. name .. '"]'
    tell('w', 'n:' .. cid, '{"at":' .. at_us .. ',"add":' .. (is_on and list or '[]') .. ',"rm":'
        .. (is_on and '[]' or list) .. ',"ttl":' .. ttl .. '}', '')
    watch(m, cid, is_on and { name } or {}, is_on and {} or { name }, m.o + #records)
    call('PEXPIRE', base .. 'sw:' .. cid, ttl)
    if not is_on then
        call('SREM', base .. 'kc:' .. uuid, cid)
    elseif not was_used(uuid) then
        call('SADD', base .. 'kc:' .. uuid, cid)
    end
end

local function look_later(uuid)
    call('ZADD', base .. 'kz', int(now_ms() + tonumber(ttl)), uuid)
end

-- Forgets a room in which nothing was said and that no session hears any more, nor may by
-- a resume. True when it is gone, or stays for good.
local function forget_unused(uuid)
    local row = call('HMGET', base .. 'kr:' .. uuid, 'k', 'o', 'f')
    -- One of an earlier release has no maker, and nobody knows who hears it.
    if row[3] and not was_used(uuid) then
        if call('HLEN', base .. 'ks:' .. uuid) > 0 then return false end
        for _ = 1, HEARERS_AT_ONCE do
            local one = call('SRANDMEMBER', base .. 'kc:' .. uuid)
            if not one then break end
            local is_alive = call('EXISTS', base .. 's:' .. one) == 1
            if is_alive and is_open(call('HGET', base .. 'sw:' .. one, 'h:' .. uuid)) then return false end
            call('SREM', base .. 'kc:' .. uuid, one)
        end
        if call('SCARD', base .. 'kc:' .. uuid) > 0 then return false end
        call('HDEL', base .. 'k', row[1] .. ':' .. (row[2] or ''))
        for _, of in ipairs({ 'kr:', 'ks:', 'ku:', 'kc:' }) do call('DEL', base .. of .. uuid) end
        if call('HINCRBY', base .. 'kn', row[3], -1) <= 0 then
            call('HDEL', base .. 'kn', row[3])
        end
    end
    call('ZREM', base .. 'kz', uuid)
    return true
end

local function changed(uuid)
    call('HSET', base .. 'kr:' .. uuid, 'u', at_s)
end

-- Notes that a socket is in a room. True when its user was not there before.
local function enter(uuid)
    call('ZADD', base .. 'kx', int(now_ms() + silence), uuid .. ' ' .. cid)
    if call('HSETNX', base .. 'ks:' .. uuid, cid, user) == 0 then return false end
    if call('HINCRBY', base .. 'ks:' .. uuid, '#' .. user, 1) > 1 then return false end
    call('ZADD', base .. 'ku:' .. uuid, call('HINCRBY', base .. 'kr:' .. uuid, 'j', 1), user)
    changed(uuid)
    return true
end

-- Notes that a socket is gone. True when its user is gone with it.
local function exit(uuid, connection)
    call('ZREM', base .. 'kx', uuid .. ' ' .. connection)
    local key = base .. 'ks:' .. uuid
    local who = call('HGET', key, connection)
    if not who then return false end
    call('HDEL', key, connection)
    if call('HINCRBY', key, '#' .. who, -1) > 0 then return false end
    call('HDEL', key, '#' .. who)
    call('ZREM', base .. 'ku:' .. uuid, who)
    changed(uuid)
    return true
end

-- Lengthens the stay of a socket that is in a room.
local function touch(uuid)
    call('ZADD', base .. 'kx', 'XX', int(now_ms() + silence), uuid .. ' ' .. cid)
end

local function done(outcome, ...)
    append(m, records)
    return { 'OK', m.gid, int(m.o), m.t, outcome, ... }
end

local function find()
    return call('HGET', base .. 'k', ARGV[FIRST] .. ':' .. ARGV[FIRST + 1])
end

-- The number, text and author of a message that is kept.
local function read_message(uuid, name)
    local number = call('ZSCORE', base .. 'ki:' .. uuid, name)
    if not number then return nil end
    number = int(tonumber(number))
    local entry = call('XRANGE', base .. 'km:' .. uuid, number .. '-0', number .. '-0')[1]
    if not entry then return nil end
    local message = { uuid = name, number = number }
    for index = 1, #entry[2], 2 do
        local field, value = entry[2][index], entry[2][index + 1]
        if field == 'a' then message.author = value end
        if field == 's' then message.at = value end
        if field == 'x' then message.text = value end
    end
    message.text = call('HGET', base .. 'ke:' .. uuid, number) or message.text
    return message
end

local function forget_message(uuid, name, number)
    call('XDEL', base .. 'km:' .. uuid, number .. '-0')
    call('HDEL', base .. 'ke:' .. uuid, number)
    call('ZREM', base .. 'ki:' .. uuid, name)
end

local function said(outcome, room, message)
    return done(outcome, message.uuid, room.uuid, message.text, message.author, message.at)
end

local function tell_said(room, message)
    tell_message('chat_message', room, message, ',"at":' .. message.at .. ',"text":' .. message.text)
end

local verbs = {}

function verbs.join()
    local uuid, label, creates, asks = find(), ARGV[FIRST + 2], ARGV[FIRST + 4], ARGV[FIRST + 5]
    if not uuid then
        if creates ~= '1' then return { 'NO', 'room' } end
        local made = tonumber(call('HGET', base .. 'kn', user) or '0')
        if call('HLEN', base .. 'k') >= ROOMS_MAX or made >= MADE_MAX then return { 'NO', 'rooms' } end
        uuid = ARGV[FIRST + 3]
        call('HSET', base .. 'k', ARGV[FIRST] .. ':' .. ARGV[FIRST + 1], uuid)
        call('HSET', base .. 'kr:' .. uuid, 'k', ARGV[FIRST], 'o', ARGV[FIRST + 1], 'l', label,
            'u', at_s, 'f', user)
        call('HINCRBY', base .. 'kn', user, 1)
        look_later(uuid)
    end
    local is_news = enter(uuid)
    local is_subscribed = is_open(call('HGET', base .. 'sw:' .. cid, 'h:' .. uuid))
    local room = read_room(uuid)
    if not is_subscribed then tell_watch(uuid, true) end
    if is_news then
        tell_room(room, 'h:' .. uuid)
    elseif asks == '1' or not is_subscribed then
        tell_room(room, 'n:' .. cid)
    end
    return done('joined', uuid, room.kind, room.object, room.label, room.updated, room.users)
end

function verbs.leave()
    local uuid = find()
    if not uuid then return { 'NO', 'room' } end
    local is_news = exit(uuid, cid)
    -- Told first, so that whoever leaves hears of it, too.
    if is_news or ARGV[FIRST + 2] == '1' then
        tell_room(read_room(uuid), is_news and 'h:' .. uuid or 'n:' .. cid)
    end
    tell_watch(uuid, false)
    forget_unused(uuid)
    return done('done')
end

-- True when another socket has claimed the connection: that one is there now.
local function is_taken()
    local held = call('HMGET', base .. 's:' .. cid, 'ep', 'n')
    return held[1] and (held[1] ~= fencing or held[2] ~= me)
end

verbs['return'] = function()
    if is_taken() then return done('done') end
    for index = FIRST, #ARGV do
        local uuid = ARGV[index]
        if call('EXISTS', base .. 'kr:' .. uuid) == 1 and enter(uuid) then
            tell_room(read_room(uuid), 'h:' .. uuid)
        end
    end
    return done('done')
end

verbs['end'] = function()
    if is_taken() then return done('done') end
    for index = FIRST, #ARGV do
        local uuid = ARGV[index]
        if exit(uuid, cid) then tell_room(read_room(uuid), 'h:' .. uuid) end
    end
    return done('done')
end

function verbs.post()
    local uuid, name, text = ARGV[FIRST], ARGV[FIRST + 1], ARGV[FIRST + 2]
    local room = read_room(uuid)
    if not room then return { 'NO', 'room' } end
    if call('ZSCORE', base .. 'kd:' .. uuid, name) then return { 'NO', 'deleted' } end
    local message = read_message(uuid, name)
    if message then
        if message.author ~= user then return { 'NO', 'author' } end
        touch(uuid)
        if message.text == text then return said('known', room, message) end
        message.text = text
        call('HSET', base .. 'ke:' .. uuid, message.number, text)
    else
        local number = int(call('HINCRBY', base .. 'kr:' .. uuid, 'n', 1))
        if number == '1' then
            call('DEL', base .. 'kc:' .. uuid)
            call('ZREM', base .. 'kz', uuid)
        end
        message = { uuid = name, author = user, at = at_s, text = text }
        call('XADD', base .. 'km:' .. uuid, number .. '-0', 'i', name, 'a', user, 's', at_s, 'x', text)
        call('ZADD', base .. 'ki:' .. uuid, number, name)
        -- More than one when fewer are to be kept than before; not all of them at once.
        local excess = math.min(call('ZCARD', base .. 'ki:' .. uuid) - history, 100)
        if excess > 0 then
            local oldest_ones = call('ZRANGE', base .. 'ki:' .. uuid, 0, excess - 1, 'WITHSCORES')
            for index = 1, #oldest_ones, 2 do
                forget_message(uuid, oldest_ones[index], int(tonumber(oldest_ones[index + 1])))
            end
        end
        touch(uuid)
    end
    tell_said(room, message)
    return said('said', room, message)
end

function verbs.delete()
    local uuid, name = ARGV[FIRST], ARGV[FIRST + 1]
    local room = read_room(uuid)
    if not room then return { 'NO', 'room' } end
    if call('ZSCORE', base .. 'kd:' .. uuid, name) then return done('done') end
    local message = read_message(uuid, name)
    if not message then return { 'NO', 'message' } end
    if message.author ~= user then return { 'NO', 'author' } end
    forget_message(uuid, name, message.number)
    call('ZADD', base .. 'kd:' .. uuid, message.number, name)
    call('ZREMRANGEBYRANK', base .. 'kd:' .. uuid, 0, -DELETED_MAX - 1)
    touch(uuid)
    tell_message('chat_deleted', room, message, '')
    return done('done')
end

function verbs.sweep()
    local silent = call('ZRANGEBYSCORE', base .. 'kx', '-inf', int(now_ms()), 'LIMIT', 0, SWEPT_MAX)
    local rooms, is_known = {}, {}
    for _, place in ipairs(silent) do
        local uuid, connection = string.match(place, '^(%S+) (%S+)$')
        if not uuid then
            call('ZREM', base .. 'kx', place)
        elseif exit(uuid, connection) and not is_known[uuid] then
            is_known[uuid] = true
            rooms[#rooms + 1] = uuid
        end
    end
    for _, uuid in ipairs(rooms) do tell_room(read_room(uuid), 'h:' .. uuid) end
    local unused = call('ZRANGEBYSCORE', base .. 'kz', '-inf', int(now_ms()), 'LIMIT', 0, SWEPT_MAX)
    for _, uuid in ipairs(unused) do
        if not forget_unused(uuid) then look_later(uuid) end
    end
    return done((#silent == SWEPT_MAX or #unused == SWEPT_MAX) and 'more' or 'done')
end

return verbs[verb]()
