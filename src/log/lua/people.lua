-- Behind the prelude, in scripts that read memberships; `members` changes them.
--
-- `u:<hex user>` holds "<letter>:<id>" -> "from:to[,from:to…]" in offsets of one life of
-- the log ("@"). Of an earlier life only who is a member now has a meaning.

local function hex(text)
    return (string.gsub(text, '.', function(c) return string.format('%02x', string.byte(c)) end))
end

local function user_key(user)
    return base .. 'u:' .. hex(user)
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
