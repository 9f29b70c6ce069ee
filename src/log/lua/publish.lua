-- Appends a batch of records. Own arguments: lifetime of ids in ms, memberships allowed
-- per user, then seven for each record: id ('' for none), digest, tag, kind, 1, the record as
-- it travels, and as it is kept ('' when that is the same). Events without an id in a row
-- come together: then the number says how many, the tag is that of the last one, and both
-- texts are those of all.
--
-- Answers {'OK', gid, …} with, for each: its (first) offset, a number; 'D <offset> <gid> <tag>'
-- when its id stands for that one; 'C' when the id stands for another body; 'L' when a
-- user would be in too many topics; 'W <first> <last>' when parts wait that have to be
-- merged before it. Or what `refusal` says.
local m = check()
local window, memberships_max = ARGV[OWN], tonumber(ARGV[OWN + 1])
local refused = refusal(m)
if refused then return refused end

local function is_full(topic, header)
    for _, user in ipairs(header.add) do
        local row = call('HGET', user_key(user), topic)
        if not is_open(row) and open_count(m, user) >= memberships_max then return true end
    end
    return false
end

-- Which parts are in the way of a bus event; nil when none are.
local function parts_before(b)
    if not b.u or b.s == 'p' then return nil end
    local parts = call('HGET', base .. 'pb', b.u)
    if b.s == 'm' then
        local is_first = parts and string.match(parts, '^%d+') == int(b.f)
        local is_all = not b.x or (parts and string.match(parts, '%d+$') == int(b.g))
        if is_first and is_all then return nil end
        return parts or '0'
    end
    return parts or nil
end

-- An update of a task that has ended is nobody's for a while. By the records' own times.
local AFTER_END_MS, ENDED_MAX = 60000, 100000

local function is_late(b)
    if not b.t then return false end
    local key, at = base .. 'pt', math.floor(b.at / 1000)
    if b.t[2] then
        call('ZADD', key, int(at), b.t[1])
        call('ZREMRANGEBYSCORE', key, '-inf', int(at - AFTER_END_MS))
        call('ZREMRANGEBYRANK', key, 0, -ENDED_MAX - 1)
        call('PEXPIRE', key, AFTER_END_MS)
        return false
    end
    local ended_at = call('ZSCORE', key, b.t[1])
    return ended_at and at < tonumber(ended_at) + AFTER_END_MS
end

-- What a bus event changes beside the log.
local function apply_bus(b, offset)
    if b.q then
        local path = b.q[2] ~= '' and b.q[2] or nil
        if b.o then move_folder(b.o, path) end
        place_node(b.q[1], path)
    end
    if not b.u then return end
    local key = base .. 'pb'
    local parts = call('HGET', key, b.u)
    if b.s == 'p' then
        call('HSET', key, b.u, parts and parts .. ',' .. int(offset) or int(offset))
    elseif b.s == 'm' then
        local kept = {}
        for part in string.gmatch(parts or '', '%d+') do
            if tonumber(part) > b.g then kept[#kept + 1] = part end
        end
        if #kept > 0 then
            call('HSET', key, b.u, table.concat(kept, ','))
        else
            call('HDEL', key, b.u)
        end
    end
end

-- What a control record changes beside the log.
local function apply(kind, address, header, offset)
    if kind == 'm' then
        for _, user in ipairs(header.add) do join(m, user, address, offset) end
        for _, user in ipairs(header.rm) do leave(m, user, address, offset) end
    elseif kind == 'w' then
        watch(m, string.sub(address, 3), header.add, header.rm, offset)
        call('PEXPIRE', base .. 'sw:' .. string.sub(address, 3), header.ttl)
    elseif kind == 'n' then
        for _, pair in ipairs(header.set) do place_node(pair[1], pair[2]) end
        for _, uuid in ipairs(header.rm) do place_node(uuid, nil) end
    elseif kind == 'r' then
        if header.scope == 's' then
            call('ZADD', base .. 'rs', int(header.before), header.id)
            call('ZREMRANGEBYRANK', base .. 'rs', 0, -1000001)
        else
            local field = header.scope == '*' and '*' or 'u:' .. header.id
            local known = tonumber(call('HGET', base .. 'r', field) or '0')
            call('HSET', base .. 'r', field, int(math.max(known, header.before)))
        end
    end
end

-- Address, header and body of a record as it travels.
local function unpacked(record)
    local line, address, header = string.match(record, '^(%x+ %a (%d+) (%d+) %d+\n)')
    local second = #line + 1 + tonumber(address)
    local third = second + tonumber(header)
    return string.sub(record, #line + 1, second - 1), string.sub(record, second, third - 1),
        string.sub(record, third)
end

-- Puts into the body of a workspace what it was, `{"is":…,"was":null}` being given.
local function change_workspace(address, body, offset)
    local id, is = string.sub(address, 3), string.sub(body, 7, -13)
    local was = call('HGET', base .. 'pw', id)
    if is == 'null' then
        call('HDEL', base .. 'pw', id)
    else
        call('HSET', base .. 'pw', id, is)
    end
    call('HSET', base .. 'po', id, int(offset))
    call('EXPIRE', base .. 'po', REPORTS_LIVE_S)
    return '{"is":' .. is .. ',"was":' .. (was or 'null') .. '}'
end

-- The body of a record that leaves a workspace as it is.
local function same_workspace(address)
    local is = call('HGET', base .. 'pw', string.sub(address, 3)) or 'null'
    return '{"is":' .. is .. ',"was":' .. is .. '}'
end

-- Moves folders with what is in them, and puts into the body which those are.
local function move_folders(body, nodes)
    local moved = {}
    local function move(node, path)
        local old = path_of(node)
        if old and move_folder(old, path) then moved[#moved + 1] = { old, path or '' } end
    end
    for _, pair in ipairs(nodes.set) do move(pair[1], pair[2]) end
    for _, node in ipairs(nodes.rm) do move(node, nil) end
    if #moved == 0 then return nil end
    return string.sub(body, 1, -2) .. ',"mv":' .. cjson.encode(moved) .. '}'
end

-- A change that a failover lost, and that nodes make again, has an id that only nodes give:
-- ` again.<gid>.<offset>.<tag>` of what was lost. It undoes nothing that came after the
-- failover, except for what was made again, too. (Paths of nodes are not guarded.)
local function lost_in(id)
    return string.match(id, '^ again%.(%d+%.[^.]*)%.')
end

-- The offset after which the log has nothing of what the generation `gid` lost.
local function lost_from(gid)
    local next_one = string.match(',' .. m.gl .. ',', ',' .. gid .. ',([^,]+),')
    return next_one and tonumber(call('HGET', base .. 'gb', next_one)) or 0
end

local function again_key()
    return base .. 'ag:' .. m.gid
end

local function note_again(at)
    call('HSET', again_key(), int(at), '')
    call('EXPIRE', again_key(), REPORTS_LIVE_S)
end

local function is_newer(at, gid)
    return at and tonumber(at) > lost_from(gid) and call('HEXISTS', again_key(), at) == 0
end

-- The header of a change of members without those who have changed since.
local function without_newer(topic, header, gid)
    local function kept(users)
        local older, texts = {}, {}
        for _, user in ipairs(users) do
            renew_rows(m, user_key(user))
            local row = call('HGET', user_key(user), topic) or ''
            local from, to = string.match(row, '(%d+):(%d+)$')
            if not is_newer(to == '0' and from or to, gid) then
                older[#older + 1], texts[#texts + 1] = user, cjson.encode(user)
            end
        end
        return older, table.concat(texts, ',')
    end
    local add, add_text = kept(header.add)
    local rm, rm_text = kept(header.rm)
    header.add, header.rm = add, rm
    return string.format('{"at":%s,"add":[%s],"rm":[%s]}', int(header.at), add_text, rm_text)
end

local answers = { 'OK', m.gid }
local records = {}
local offset = m.o

-- Ids of this batch. They are kept behind the records: should those not fit into what is
-- there, an id must not stand for one that does not exist.
local fresh = {}

-- What is known of an id: where its record is, or that it stands for another body.
local function repeated(id, digest)
    local key = base .. 'i:' .. id
    local known = fresh[id] or call('GET', key)
    if not known then return nil end
    local at, gid, of, what = string.match(known, '^(%d+):([^:]*):(%x+):(.*)$')
    -- One of a life of the log that nobody remembers stands for nothing.
    if not gid or not is_remembered(m, gid) then return nil end
    if what ~= digest then return 'C' end
    -- Written anew, not only touched: a replica then confirms the first record, too.
    fresh[id] = known
    return 'D ' .. at .. ' ' .. gid .. ' ' .. of
end

-- Takes a control record or a bus event; what is in its way, if something is.
local function take_control(id, kind, record)
    local address, text, body = unpacked(record[2])
    local gid = lost_in(id)
    local function change(header, data)
        local changed = made(record[1], kind, address, header, data)
        record[2], record[3] = changed[2], changed[3]
    end
    if kind == 'm' or kind == 'w' or kind == 'r' then
        local header = cjson.decode(text)
        if kind == 'm' and gid then change(without_newer(address, header, gid), body) end
        if kind == 'm' and is_full(address, header) then return 'L' end
        apply(kind, address, header, offset + 1)
    elseif kind == 'n' then
        local nodes = cjson.decode(body)
        local moved = move_folders(body, nodes)
        if moved then change(text, moved) end
        apply(kind, address, nodes, offset + 1)
    elseif kind == 'p' then
        local at = call('HGET', base .. 'po', string.sub(address, 3))
        local is_late = gid and is_newer(at, gid)
        change(text, is_late and same_workspace(address) or change_workspace(address, body, offset + 1))
    elseif kind == 'b' then
        local event = cjson.decode(text)
        local parts = parts_before(event)
        if parts then
            return 'W ' .. string.match(parts, '^%d+') .. ' ' .. string.match(parts, '%d+$')
        end
        if is_late(event) then
            local late = string.gsub(text, '"s":"w"', '"s":"v"', 1)
            change(late, body)
        end
        apply_bus(event, offset + 1)
    end
    if gid then note_again(offset + 1) end
end

for index = OWN + 2, #ARGV, 7 do
    local id, digest, tag, kind = ARGV[index], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3]
    local told, kept = ARGV[index + 5], ARGV[index + 6]
    local record = { tag, told, kept == '' and told or kept, tonumber(ARGV[index + 4]) }
    local answer = id ~= '' and repeated(id, digest)
    if not answer and kind ~= 'e' and kind ~= 'f' then answer = take_control(id, kind, record) end
    if not answer then
        answer = offset + 1
        offset = offset + record[4]
        records[#records + 1] = record
        if id ~= '' then
            fresh[id] = int(offset) .. ':' .. m.gid .. ':' .. tag .. ':' .. digest
        end
    end
    answers[#answers + 1] = answer
end
append(m, records)
for id, known in pairs(fresh) do call('SET', base .. 'i:' .. id, known, 'PX', window) end
return answers
