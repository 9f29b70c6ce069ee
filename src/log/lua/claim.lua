-- Takes a session over. Own arguments: connection, user, login session, lifetime in ms.
--
-- Answers {'OK', session, snapshot}, {'UNKNOWN'}, {'FORBIDDEN'}, {'STALE'} when records
-- that the session was sent may be lost, {'FENCED', gid} while nobody knows yet, or
-- what `refusal` says.
local m = check()
local cid, user, sid, ttl = ARGV[OWN], ARGV[OWN + 1], ARGV[OWN + 2], ARGV[OWN + 3]
local s = read_session(cid)
if not s then return { 'UNKNOWN' } end
if s.user ~= user or s.sid ~= sid then return { 'FORBIDDEN' } end
local refused = refusal(m)
if refused then return refused end

-- 'intact', 'stale' or 'pending': what is known of the generations since the session was
-- last proved.
local function proof()
    if s.gid == m.gid then return 'intact' end
    local of = counter(s.gid)
    if not of or of < m.fl then return 'stale' end
    local is_known, is_pending = false, false
    for gid in string.gmatch(m.gl, '[^,]+') do
        if is_known then
            local report = call('HGET', base .. 'w:' .. gid, s.n or '')
            local verdict = report and string.sub(report, 1, 1)
            if verdict == 'd' then return 'stale' end
            -- With `ha` nothing is sent that the replicas do not have: who died has lost nothing.
            if verdict == '' and profile ~= 'ha' then
                if gid ~= m.gid or now_ms() >= m.dl then return 'stale' end
                is_pending = true
            end
        end
        is_known = is_known or gid == s.gid
    end
    if not is_known then return 'stale' end
    -- The place where it began, as long as that is kept.
    if s.b ~= '0' and tonumber(s.b) >= m.f then
        if tag_at(s.b) ~= s.bt then return 'stale' end
    end
    return is_pending and 'pending' or 'intact'
end

local proved = proof()
if proved == 'stale' then return { 'STALE' } end
if proved == 'pending' then return { 'FENCED', m.gid } end

local seq, cursor, noted = place(cid, s)
if noted then call('HDEL', base .. 'c:' .. s.n, cid) end
s.q, s.c, s.n, s.gid = seq, cursor, me, m.gid
s.ep = int((tonumber(s.ep) or 0) + 1)
local key = base .. 's:' .. cid
call('HSET', key, 'q', s.q, 'c', s.c, 'n', s.n, 'gid', s.gid, 'ep', s.ep)
call('PEXPIRE', key, ttl)
local known = snapshot(m, user, sid, cid)
if #known[6] > 0 then call('PEXPIRE', base .. 'sw:' .. cid, ttl) end
call(publish, base .. 't', 'T ' .. cid .. ' ' .. s.ep .. ' ' .. me .. '\n')
return { 'OK', describe(s), known }
