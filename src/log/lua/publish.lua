-- Appends a batch of records. Own arguments: lifetime of ids in ms, memberships allowed
-- per user, then seven for each record: id ('' for none), digest, tag, kind, address,
-- header, body.
--
-- Answers {'OK', gid, …} with, for each record: its offset; 'D <offset> <gid> <tag>'
-- when its id stands for that one; 'C' when the id stands for another body; 'L' when a
-- user would be in too many topics.
local m = check()
local window, memberships_max = ARGV[OWN], tonumber(ARGV[OWN + 1])
if m.st == 'fenced' then return fenced(m) end

local function is_full(topic, header)
    for _, user in ipairs(header.add) do
        local row = call('HGET', user_key(user), topic)
        if not is_open(row) and open_count(m, user) >= memberships_max then return true end
    end
    return false
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
        for _, pair in ipairs(header.set) do call('HSET', base .. 'pn', pair[1], pair[2]) end
        for _, uuid in ipairs(header.rm) do call('HDEL', base .. 'pn', uuid) end
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

-- Puts into the body of a workspace what it was, `{"is":…,"was":null}` being given.
local function change_workspace(address, body)
    local id, is = string.sub(address, 3), string.sub(body, 7, -13)
    local was = call('HGET', base .. 'pw', id)
    if is == 'null' then
        call('HDEL', base .. 'pw', id)
    else
        call('HSET', base .. 'pw', id, is)
    end
    return '{"is":' .. is .. ',"was":' .. (was or 'null') .. '}'
end

local answers = { 'OK', m.gid }
local records = {}
local offset = m.o
for index = OWN + 2, #ARGV, 7 do
    local id, digest, tag, kind = ARGV[index], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3]
    local address, text, body = ARGV[index + 4], ARGV[index + 5], ARGV[index + 6]
    local key = base .. 'i:' .. id
    local known = id ~= '' and call('GET', key)
    local header = (kind == 'm' or kind == 'w' or kind == 'r') and cjson.decode(text)
    if kind == 'n' then header = cjson.decode(body) end
    local answer
    if known then
        local at, gid, of, what = string.match(known, '^(%d+):([^:]*):(%x+):(.*)$')
        -- One of a life of the log that nobody remembers stands for nothing.
        if gid and is_remembered(m, gid) then
            answer = what == digest and 'D ' .. at .. ' ' .. gid .. ' ' .. of or 'C'
            -- Written anew, not only touched: a replica then confirms the first record, too.
            if what == digest then call('SET', key, known, 'PX', window) end
        end
    end
    if not answer and kind == 'm' and is_full(address, header) then answer = 'L' end
    if not answer then
        offset = offset + 1
        if kind == 'p' then body = change_workspace(address, body) end
        records[#records + 1] = { tag, kind, address, text, body }
        if header then apply(kind, address, header, offset) end
        if id ~= '' then
            call('SET', key, int(offset) .. ':' .. m.gid .. ':' .. tag .. ':' .. digest, 'PX', window)
        end
        answer = int(offset)
    end
    answers[#answers + 1] = answer
end
append(m, records)
return answers
