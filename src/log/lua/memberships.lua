-- What a user may see. Own arguments: user, login session. Answers {'OK', snapshot}.
local m = check()
return { 'OK', snapshot(m, ARGV[OWN], ARGV[OWN + 1], '') }
