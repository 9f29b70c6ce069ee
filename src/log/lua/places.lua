-- Behind the prelude, in scripts that read or change where nodes of Pydio are.
--
-- Folders are numbers, so that moving one costs its depth, and not what is in it. `pf`
-- holds node -> "<folder>/<name>", `pp` folder -> "<parent>/<name>", `pd`
-- "<parent>/<name>" -> folder, or folders when one was moved onto another, `pc` folder ->
-- how much is in it, "#" -> last number, "*" -> how many are one too many. Folder 0 is
-- above all. A folder that is gone has no parent: nothing in it is known, and it is
-- forgotten bit by bit: "@" in `pc` is how far `pf` was looked through, as long as that is
-- needed, "!" that a folder went meanwhile.
local NODES_MAX, DEPTH_MAX, TWINS_MAX, LOOKED_AT = 1000000, 128, 256, 16

local function parts_of(path)
    local parts = {}
    if path == '' then return parts end
    for part in string.gmatch(path .. '/', '([^/]*)/') do parts[#parts + 1] = part end
    return parts
end

local function split_place(place)
    return string.match(place, '^(%d+)/(.*)$')
end

-- Where a node is; nil when that is not known.
local function path_of(node)
    local place = call('HGET', base .. 'pf', node)
    if not place then return nil end
    local folder, path = split_place(place)
    while folder ~= '0' do
        place = call('HGET', base .. 'pp', folder)
        if not place then return nil end
        local parent, name = split_place(place)
        folder, path = parent, name .. '/' .. path
    end
    return path
end

local function fill(folder, by)
    if folder == '0' then return 1 end
    return call('HINCRBY', base .. 'pc', folder, by)
end

local function attach_folder(folder, parent, name)
    local place = parent .. '/' .. name
    local others = call('HGET', base .. 'pd', place)
    if others then
        if call('HINCRBY', base .. 'pc', '*', 1) > TWINS_MAX then
            call('HINCRBY', base .. 'pc', '*', -1)
            return false
        end
        others = others .. ','
    end
    call('HSET', base .. 'pd', place, (others or '') .. folder)
    call('HSET', base .. 'pp', folder, place)
    fill(parent, 1)
    return true
end

-- Takes a folder out of its parent, which comes back.
local function detach_folder(folder)
    local place = call('HGET', base .. 'pp', folder)
    if not place then return nil end
    call('HDEL', base .. 'pp', folder)
    local others = {}
    for other in string.gmatch(call('HGET', base .. 'pd', place) or '', '%d+') do
        if other ~= folder then others[#others + 1] = other end
    end
    if #others > 0 then
        call('HSET', base .. 'pd', place, table.concat(others, ','))
        call('HINCRBY', base .. 'pc', '*', -1)
    else
        call('HDEL', base .. 'pd', place)
    end
    return (split_place(place))
end

-- One thing less is in a folder. Whatever is empty then is forgotten, upwards.
local function release_folder(folder)
    while folder and fill(folder, -1) == 0 do
        call('HDEL', base .. 'pc', folder)
        folder = detach_folder(folder)
    end
end

-- All folders with this path.
local function folders_at(parts)
    local found = { '0' }
    for _, part in ipairs(parts) do
        local inner = {}
        for _, folder in ipairs(found) do
            local named = call('HGET', base .. 'pd', folder .. '/' .. part)
            for one in string.gmatch(named or '', '%d+') do inner[#inner + 1] = one end
        end
        found = inner
    end
    return found
end

-- The folder for something with this path, made when there is none, and its name in it.
local function folder_for(parts)
    local folder = '0'
    for index = 1, #parts - 1 do
        local named = call('HGET', base .. 'pd', folder .. '/' .. parts[index])
        local inner = named and string.match(named, '^%d+')
        if not inner then
            inner = int(call('HINCRBY', base .. 'pc', '#', 1))
            attach_folder(inner, folder, parts[index])
        end
        folder = inner
    end
    return folder, parts[#parts] or ''
end

local function is_gone(folder)
    while folder ~= '0' do
        local place = call('HGET', base .. 'pp', folder)
        if not place then return true end
        folder = split_place(place)
    end
    return false
end

-- Forgets nodes in folders that are gone, some of them.
local function look_at_nodes()
    local marks = call('HMGET', base .. 'pc', '@', '!')
    local at = marks[1]
    if not at then
        if not marks[2] then return end
        call('HDEL', base .. 'pc', '!')
        at = '0'
    end
    local found = call('HSCAN', base .. 'pf', at, 'COUNT', LOOKED_AT)
    for index = 1, #found[2], 2 do
        local folder = split_place(found[2][index + 1])
        -- A scan may find one twice.
        if is_gone(folder) and call('HDEL', base .. 'pf', found[2][index]) == 1 then
            release_folder(folder)
        end
    end
    if found[1] == '0' then
        call('HDEL', base .. 'pc', '@')
    else
        call('HSET', base .. 'pc', '@', found[1])
    end
end

-- Says where a node is; without a path it is gone.
local function place_node(node, path)
    local old = call('HGET', base .. 'pf', node)
    if old then call('HDEL', base .. 'pf', node) end
    look_at_nodes()
    local parts = path and parts_of(path)
    if parts and #parts <= DEPTH_MAX and call('HLEN', base .. 'pf') < NODES_MAX then
        local folder, name = folder_for(parts)
        call('HSET', base .. 'pf', node, folder .. '/' .. name)
        fill(folder, 1)
    end
    if old then release_folder((split_place(old))) end
end

-- A folder has another path, and what is known in it goes along; without one it is gone,
-- and so is that. True when something was known in it.
local function move_folder(from, to)
    if from == '' or from == to then return false end
    local found = folders_at(parts_of(from))
    local parts = to and to ~= '' and parts_of(to)
    -- All of them first: one may move into another.
    local olds = {}
    for index, folder in ipairs(found) do olds[index] = detach_folder(folder) or '0' end
    for index, folder in ipairs(found) do
        local is_there = false
        if parts and #parts <= DEPTH_MAX then
            local parent, name = folder_for(parts)
            is_there = attach_folder(folder, parent, name)
            if not is_there then
                fill(parent, 1)
                release_folder(parent)
            end
        end
        if not is_there then call('HSET', base .. 'pc', '!', '1') end
        release_folder(olds[index])
    end
    return #found > 0
end
