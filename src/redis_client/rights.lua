#!lua flags=no-writes
-- Which calls the user may not make. Each argument is one, as words; the answer has the
-- number of each that is refused, and why.
--
-- Rights are looked at before anything else, and nothing is written: a call that would write
-- is refused as well, for another reason.
local refused = {}
for index, text in ipairs(ARGV) do
    local words = {}
    for word in string.gmatch(text, '[^ |]+') do words[#words + 1] = word end
    local answer = redis.pcall(unpack(words))
    local reason = type(answer) == 'table' and answer.err
    if reason then
        refused[#refused + 1] = index
        refused[#refused + 1] = reason
    end
end
return refused
