-- Tables, strings and closures: Lua asks realloc for everything.
local rounds = tonumber(arg[1])
local sum, kept = 0, {}

local function tree(depth, number)
    if depth == 0 then
        return {value = number, name = "leaf-" .. number}
    end
    return {left = tree(depth - 1, 2 * number), right = tree(depth - 1, 2 * number + 1),
        visit = function(x) return x + number end}
end

local function walk(node)
    if node.value then
        return node.value % 1000 + #node.name
    end
    return (node.visit(walk(node.left)) + walk(node.right)) % 1000003
end

for turn = 1, rounds do
    sum = (sum * 31 + walk(tree(11, turn))) % 1000000007
    local parts = {}
    for i = 1, 2000 do
        parts[#parts + 1] = string.format("%d:%s", i * turn, ("x"):rep(i % 50))
    end
    local text = table.concat(parts, ",")
    for number, tail in text:gmatch("(%d+):(x*)") do
        kept[number .. tail] = {tonumber(number), #tail}
    end
    if turn % 8 == 0 then
        for key, pair in pairs(kept) do
            sum = (sum + pair[1] * pair[2]) % 1000000007
        end
        kept = {}
    end
end
print(sum)
