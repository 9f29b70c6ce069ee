-- What is kept of users. Own arguments: users.
--
-- Answers {rows of `st`, node, its records, node, its records, …}.
local users = {}
for index = OWN, #ARGV do users[#users + 1] = ARGV[index] end
local answer = { call('HMGET', base .. 'st', unpack(users)) }
local states = call('HGETALL', base .. 'pn')
for index = 1, #states, 2 do
    local node = states[index]
    if node ~= '' and string.sub(states[index + 1], 1, 1) ~= 'x' then
        answer[#answer + 1] = node
        answer[#answer + 1] = call('HMGET', base .. 'ps:' .. node, unpack(users))
    end
end
return answer
