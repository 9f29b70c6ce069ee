-- Behind `people`: what a user may see, and where that is true.
--
-- {gid, offset, tag, oldest offset, rows of memberships, rows of watches, when tokens of
-- everyone ended, of the user, whether the login ended}
local function snapshot(m, user, sid, cid)
    local everyone, own, login = revocations(user, sid)
    return { m.gid, int(m.o), m.t, int(m.f), rows_of(m, user),
        call('HGETALL', base .. 'sw:' .. cid), everyone, own, login }
end
