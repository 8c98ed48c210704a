/// The order of a kernel's instructions: from values that name their operands to a program that holds few of them at a time.
namespace Tva.Dsl.Plan

open System.Collections.Generic
open Tva.Core.Kernels

module Schedule =

    let private operands (i: Instruction) =
        [ if i.A >= 0 then i.A
          if i.B >= 0 && i.B <> i.A then i.B
          if i.C >= 0 && i.C <> i.A && i.C <> i.B then i.C ]

    let private isSink (i: Instruction) = i.Code = Code.Store || i.Code = Code.Guard

    // Constants and parameters are the same for the whole block; they wait in memory or a register of their own until used.
    let private isUniform (i: Instruction) = i.Code = Code.Const || i.Code = Code.Param

    /// Operands first, sinks in order, depth first; but whatever frees at least as many values as it makes comes as soon as it can,
    /// so that two sums over the same thousand tensors advance together instead of keeping a thousand values.
    let order (code: IReadOnlyList<Instruction>) : Instruction list =
        let n = code.Count
        let depthFirst = List<int>()
        let seen = Array.zeroCreate<bool> n
        let height = Array.zeroCreate<int> n
        for i in 0 .. n - 1 do
            for o in operands code[i] do
                height[i] <- max height[i] (height[o] + 1)
        let rec visit i =
            if not seen[i] then
                seen[i] <- true
                // The long way first: its value is one, what it needs on the way is more.
                operands code[i] |> List.sortByDescending (fun o -> height[o]) |> List.iter visit
                if not (isUniform code[i]) then
                    depthFirst.Add i
        for i in 0 .. n - 1 do
            if isSink code[i] then
                visit i
        let rank = Array.create n -1
        depthFirst |> Seq.iteri (fun r i -> rank[i] <- r)
        let users = Array.init n (fun _ -> List<int>())
        for i in depthFirst do
            for o in operands code[i] do
                users[o].Add i
        let left = Array.init n (fun i -> users[i].Count)
        let number = Array.create n -1
        let result = List<Instruction>()
        let candidates = SortedSet<int>()
        let value o = not (isUniform code[o])
        let isDone i = number[i] >= 0
        let ready i = operands code[i] |> List.forall (fun o -> isUniform code[o] || isDone o)
        let frees i = operands code[i] |> List.filter (fun o -> value o && left[o] = 1) |> List.length
        let consider i =
            if not (isDone i) && not (operands code[i]).IsEmpty && ready i && (isSink code[i] || frees i >= 1) then
                candidates.Add rank[i] |> ignore
        let emit i =
            let at o = if o < 0 then -1 else number[o]
            for o in operands code[i] do
                if isUniform code[o] && not (isDone o) then
                    number[o] <- result.Count
                    result.Add code[o]
            let instruction = code[i]
            number[i] <- result.Count
            result.Add(Instruction(instruction.Code, at instruction.A, at instruction.B, at instruction.C, instruction.Index, instruction.Value, instruction.Origin))
            candidates.Remove rank[i] |> ignore
            for o in operands code[i] do
                left[o] <- left[o] - 1
                if left[o] = 1 && value o then
                    users[o] |> Seq.filter (isDone >> not) |> Seq.iter consider
            Seq.iter consider users[i]
        let mutable next = 0
        while next < depthFirst.Count do
            if candidates.Count > 0 then
                emit depthFirst[Seq.head candidates]
            elif isDone depthFirst[next] then
                next <- next + 1
            else
                emit depthFirst[next]
        List.ofSeq result

    /// The most values (parameters and constants aside) that are needed later at any point of a program.
    let pressure (code: IReadOnlyList<Instruction>) =
        let last = Array.create code.Count -1
        code |> Seq.iteri (fun i instruction -> for o in operands instruction do last[o] <- i)
        let mutable live = 0
        let mutable most = 0
        code |> Seq.iteri (fun i instruction ->
            for o in operands instruction do
                if last[o] = i && not (isUniform code[o]) then
                    live <- live - 1
            if not (isUniform instruction) && last[i] > i then
                live <- live + 1
            most <- max most live)
        most
