-- Tells all tails of a realm something. KEYS[1] is their channel; own arguments: `PUBLISH`, or
-- `SPUBLISH` in a cluster, and the text.
return redis.call(ARGV[1], KEYS[1], ARGV[2])
