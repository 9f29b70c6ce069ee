-- Behind the prelude, in scripts that read session records.
--
-- A session's place is what its record says, or the checkpoint of its holder when that
-- was written under the same claim.
local function place(cid, s)
    local noted = s.n and call('HGET', base .. 'c:' .. s.n, cid)
    if noted then
        local seq, cursor, ep = string.match(noted, '^(%d+) (%d+) (%d+)$')
        if ep == s.ep then return seq, cursor, noted end
    end
    return s.q, s.c, noted
end

local function read_session(cid)
    local v = call('HMGET', base .. 's:' .. cid, 'user', 'sid', 'flt', 'gid', 'b', 'bt', 'ep',
        'n', 'q', 'c', 'mac')
    if not v[1] then return nil end
    return { user = v[1], sid = v[2] or '', flt = v[3] or '', gid = v[4] or '', b = v[5] or '',
        bt = v[6] or '', ep = v[7] or '', n = v[8], q = v[9] or '', c = v[10] or '',
        mac = v[11] or '' }
end

-- {scope, generation, base, its tag, fencing, owner, seq, cursor, mac, user, login}
local function describe(s)
    return { s.flt, s.gid, s.b, s.bt, s.ep, s.n or '', s.q, s.c, s.mac, s.user, s.sid }
end
