-- Behind the prelude, in scripts that read or change chat rooms.
--
-- `k` holds "<kind>:<object>" -> room. Of each room: `kr:` is the room itself (k kind,
-- o object, l label as JSON, u changed at, n last number, j arrivals), `km:` the stream
-- of its messages, numbered from 1 on (i name, a author, s moment, x text as JSON), `ki:`
-- name -> number of those that are kept, `ke:` number -> text that took the first one's
-- place, `kd:` name -> number of those that were taken back, `ks:` connection -> user of
-- those who are there and "#<user>" -> sockets, `ku:` user -> arrival. `kx` tells when
-- "<room> <connection>" leaves that stays silent.
--
-- As long as nothing was said in a room (no n): `kc:` has the connections that may hear it,
-- and `kz` tells when to look whether some still do. f is who made a room, `kn` user -> how
-- many of those that there are.
local LISTED = 1000

local function read_room(uuid)
    local v = call('HMGET', base .. 'kr:' .. uuid, 'k', 'o', 'l', 'u')
    if not v[1] then return nil end
    -- Who may see what happens in the room of a node is decided by its path.
    local path = v[1] == '3' and path_of(v[2] or '') or nil
    return { uuid = uuid, kind = v[1], object = v[2] or '', label = v[3] or '""', updated = v[4] or '0',
        path = path, users = call('ZRANGE', base .. 'ku:' .. uuid, 0, LISTED - 1) }
end

-- What a room is about, as the data of its events begins.
local function subject(room)
    local path = room.path and ',"path":' .. cjson.encode(room.path) or ''
    return '{"kind":' .. room.kind .. ',"object":"' .. room.object .. '"' .. path
end
