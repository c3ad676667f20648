-- KEYS: data keys.
-- ARGV: the two numbers of a position.
-- Removes what was not born at the position or later, but for fences, and returns how many entries and leases there were.
local void = {}
for i = 1, #KEYS do
  local head = redis.pcall('GETRANGE', KEYS[i], 0, 69)
  local keep = false
  if type(head) == 'string' and string.sub(head, 1, 3) == '\202\195\1' then
    local kind = string.sub(head, 4, 4)
    if kind == 'F' then
      keep = true
    elseif (kind == 'V' or kind == 'N') and #head == 70 then
      local millis, sequence = struct.unpack('>I8I8', head, 55)
      keep = millis > ARGV[1] + 0 or millis == ARGV[1] + 0 and sequence >= ARGV[2] + 0
    end
  end
  if not keep then
    void[#void + 1] = KEYS[i]
  end
end
-- Fewer than Lua can unpack, since a batch has 10,000 keys at the most and is sent 1,000 at a time.
return #void > 0 and redis.call('UNLINK', unpack(void)) or 0
