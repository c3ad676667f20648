-- KEYS: the nodes.
-- ARGV: the two numbers of a position; for how many milliseconds a node that is not registered may serve what it holds.
-- Returns in how many milliseconds every node either has applied the record at the position, or may not serve what is older
-- any more: 0 when that is so already. Nodes that have not been heard of for a minute longer are forgotten.
-- Registrations may have been lost: then nodes that were registered before are waited for as if they were deaf, for as long as
-- they would have been remembered. No node is waited for longer than it may serve, also where the clock has been set back, or is
-- that of another server.
local remembered = 60000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Another server, or the same after a restart, may have them as they were at some time before.
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if redis.call('HGET', KEYS[1], 'server') ~= server then
  redis.call('HSET', KEYS[1], 'server', server, 'since', string.format('%.0f', now))
end
local nodes, wait, since = redis.call('HGETALL', KEYS[1]), 0, now
for i = 1, #nodes, 2 do
  local till, alone, millis, sequence, trusted = string.match(nodes[i + 1], '^(%d+) (%d+) (%d+)%-(%d+) (%d+)$')
  if nodes[i] == 'since' then
    since = tonumber(nodes[i + 1])
  elseif nodes[i] ~= 'server' and (not till or till + remembered < now) then
    redis.call('HDEL', KEYS[1], nodes[i])
  elseif till and (millis + 0 < ARGV[1] + 0 or millis + 0 == ARGV[1] + 0 and sequence + 0 < ARGV[2] + 0) then
    wait = math.max(wait, math.min(till - now, trusted), math.min(ARGV[1] + alone - now, alone))
  end
end
local lapsed = since + ARGV[3]
if now <= lapsed + remembered then
  wait = math.max(wait, math.min(math.max(lapsed, ARGV[1] + ARGV[3]) - now, ARGV[3]))
end
return wait
