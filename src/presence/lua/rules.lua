-- The rules of the status, as merge.rs has them: a test holds both equal. And the texts
-- of the two kinds of records:
--
-- `ps:<node#inc>` user -> "<devices there>:<status by them>:<since>:<epoch>", and for each
--   device " <connection>:<since>:<active at>:<dropped at>"; the last is "-" while it is
--   there, and "+" in what a node sends of a device that it does not know yet.
-- `st` user -> "<shown>:<version>:<choice>:<before>:<ends>:<touched>:<newest>:<due>".
--   Shown and chosen are one letter of WORDS, "-" for no choice. Before shows again when a
--   timed choice ends; ends is in seconds, or "-". Due is when time alone may change what
--   is shown, "-" for never, or "i": nothing is known but the newest activity.
local now, away_after = tonumber(ARGV[OWN]), tonumber(ARGV[OWN + 1])
local offline_after = tonumber(ARGV[OWN + 2])
OWN = OWN + 3

local WORDS = { n = 'online', a = 'away', d = 'dnd', f = 'offline', o = 'ooo' }
-- Larger than any time, and still exact.
local NEVER = 9e15
local DEVICE = ' (%w+):(%d+):(%d+):([-+%d]+)'
local ROW = '^(%a):(%d+):(.):(.):([-%d]+):(%d+):(%d+):([-i%d]+)$'

-- A whole number that is exact: cheaper than `int`, and there are many.
local format = string.format
local function digits(number)
    return format('%d', number)
end

local function read_row(text)
    local shown, version, choice, before, ends, touched, newest, due
    if text then
        shown, version, choice, before, ends, touched, newest, due = string.match(text, ROW)
    end
    if not shown then
        return { shown = 'f', version = 0, choice = '-', before = '-', ends = '-', touched = 0,
            newest = 0, due = NEVER, is_idle = false, chose = false }
    end
    return { text = text, shown = shown, version = tonumber(version), choice = choice,
        before = before, ends = ends, touched = tonumber(touched), newest = tonumber(newest),
        due = tonumber(due) or NEVER, is_idle = due == 'i', chose = choice ~= '-' }
end

local function write_row(row)
    local due = row.is_idle and 'i' or row.due < NEVER and digits(row.due) or '-'
    return row.shown .. ':' .. digits(row.version) .. ':' .. row.choice .. ':' .. row.before .. ':'
        .. row.ends .. ':' .. digits(row.touched) .. ':' .. digits(row.newest) .. ':' .. due
end

-- Adds the devices of a record to `seen`; true when one of them counts.
local function see(record, seen)
    local counts = false
    for _, _, active, dropped in string.gmatch(record, DEVICE) do
        active, dropped = tonumber(active), tonumber(dropped)
        if active > seen.newest then seen.newest = active end
        local gone = dropped and dropped + offline_after
        if not gone then
            seen.is_there = true
        elseif gone > now then
            seen.is_in_grace = true
            if gone < seen.holds then seen.holds = gone end
        end
        if not gone or gone > now then
            counts = true
            if active > seen.active then seen.active = active end
        end
    end
    return counts
end

local function seen_nothing(row)
    local newest = math.max(row.newest, row.touched)
    return { newest = newest, active = 0, holds = NEVER, is_there = false, is_in_grace = false }
end

-- A timed choice that ended gives way to what was chosen before it.
local function end_choice(row)
    if row.ends ~= '-' and tonumber(row.ends) * 1000 <= now then
        row.choice, row.before, row.ends = row.before, '-', '-'
    end
end

-- The user chose: a letter of WORDS, or '-' for no choice any more.
local function choose(row, chosen, ends)
    end_choice(row)
    local before = row.choice == 'd' and row.before or row.choice
    row.choice, row.before, row.ends = chosen, '-', '-'
    if chosen == 'd' then
        row.before, row.ends = before, ends
    elseif chosen == 'n' then
        row.choice, row.touched = '-', math.max(row.touched, now)
    end
end

-- What is shown now, and until when only new facts can change it.
local function decide(row, seen)
    end_choice(row)
    if row.ends ~= '-' then
        return 'd', math.min(seen.holds, tonumber(row.ends) * 1000, NEVER)
    elseif row.choice ~= '-' then
        return row.choice, seen.holds
    elseif not (seen.is_there or seen.is_in_grace) then
        return 'f', seen.holds
    end
    local away = math.max(seen.active, row.touched) + away_after
    if now < away then return 'n', math.min(seen.holds, away) end
    return 'a', seen.holds
end
