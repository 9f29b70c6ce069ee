-- Begins a session. Own arguments: connection, user, login session, scope, lifetime in ms,
-- moment of issue of the token ('' when unknown), memberships allowed per user, tag and
-- moment in microseconds for a record of seeds, then the topics of the seeds.
--
-- Answers {'OK', snapshot}, or what `refusal` says.
local m = check()
local refused = refusal(m)
if refused then return refused end
local cid, user, sid, scope = ARGV[OWN], ARGV[OWN + 1], ARGV[OWN + 2], ARGV[OWN + 3]
local ttl, issued_at = ARGV[OWN + 4], ARGV[OWN + 5]
local room, tag, at = tonumber(ARGV[OWN + 6]), ARGV[OWN + 7], ARGV[OWN + 8]

-- Seeds become members where the realm has no record about them, open or closed.
local everyone, own, login = revocations(user, sid)
if #ARGV > OWN + 8 and not ends(issued_at, everyone, own, login) then
    room = room - open_count(m, user)
    local news, seen = {}, {}
    for index = OWN + 9, #ARGV do
        local topic = ARGV[index]
        if #news < room and not seen[topic] and call('HEXISTS', user_key(user), topic) == 0 then
            seen[topic] = true
            news[#news + 1] = topic
        end
    end
    if #news > 0 then
        for _, topic in ipairs(news) do join(m, user, topic, m.o + 1) end
        -- Written by hand: the encoder would round the moment. Ids need no escaping.
        local header = '{"at":' .. at .. ',"user":"' .. user .. '","topics":' .. cjson.encode(news) .. '}'
        append(m, { made(tag, 's', 'u:' .. user, header, '') })
    end
end

local key = base .. 's:' .. cid
call('HSET', key, 'user', user, 'sid', sid, 'flt', scope, 'gid', m.gid, 'b', int(m.o), 'bt', m.t,
    'ep', '1', 'n', me, 'q', '1', 'c', int(m.o))
call('PEXPIRE', key, ttl)
return { 'OK', snapshot(m, user, sid, cid) }
