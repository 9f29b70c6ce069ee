-- Where a node of Pydio is. Own argument: its unique name.
--
-- Answers {'OK', path} or {'UNKNOWN'}.
local path = path_of(ARGV[OWN])
return path and { 'OK', path } or { 'UNKNOWN' }
