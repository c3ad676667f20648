-- What every script begins with that puts up or lifts fences.
--
-- The fences of a key are a sorted set of tokens, by the time until which they hold. It lapses with the last of them: whoever asks
-- for fences asks whether the set is there.

local function lapse(fences)
  local last = redis.call('ZREVRANGE', fences, 0, 0, 'WITHSCORES')
  if last[2] then
    redis.call('PEXPIREAT', fences, string.format('%.0f', last[2]))
  end
end

-- Puts up the fence `token` for `hold` milliseconds from `now` on. Returns 1 when it did not stand already, else 0.
local function raise(fences, token, now, hold)
  redis.call('ZREMRANGEBYSCORE', fences, '-inf', now)
  local added = redis.call('ZADD', fences, now + hold, token)
  lapse(fences)
  return added
end

-- Returns 1 when the fence `token` stood, else 0.
local function lift(fences, token)
  local lifted = redis.call('ZREM', fences, token)
  if lifted == 1 then
    lapse(fences)
  end
  return lifted
end

