// Package faults kills: the client, supervisor, keeper and holder while containers run, and the client at its system calls one
// by one (method L, see the harness). What must hold is the design's list "what survives what": a container runs on, no line
// of output and no exit code is lost, nothing is half-made, and in the end nothing is left.
//
// Which of the forty faults of research/reliability.md is tested where (tests/ unless a folder is named):
//
//	 1  client killed at every call of run, run -d, exec, rm    TestCrashIn…; without a call in mind TestClientKilled
//	 2  supervisor killed six times during 10^6 lines           TestMillionLines, TestSupervisorIsBackWithinASecond
//	 3  supervisor killed at its end of a container             TestMillionLines (exit code kept); not call by call
//	 4  keeper killed                                           TestKeeperKilled
//	 5  holder killed                                           TestHolderKilled
//	 9  all of moss killed at once                              TestEverythingOfMossKilledAtOnce
//	12  no space while creating                                 place_test.go TestFullDisk
//	13  no space for the log                                    place_test.go TestFullDisk; sandbox/output
//	15  no descriptors                                          TestFewDescriptors
//	19  data root read-only                                     TestReadOnlyDataRoot
//	23  pid of a foreign process                                TestPIDOfAForeignProcess
//	25  state files cut, empty, garbage                         TestBrokenStateFiles
//	28  runtime directory swept away                            TestRuntimeDirectoryWiped
//	31  many at once, a third of them killed                    TestManyOfWhichAThirdAreKilled; run_test.go
//	34  container out of memory                                 limits_test.go
//	36  terminal hangs up                                       terminal_test.go TestHangUp
//	37  standard streams closed, full, a directory              place_test.go TestStandardStreamsOfAllKinds
//	38  rm interrupted                                          TestCrashInRemove, TestCrashInForcedRemove
//
// Without a test yet: 7, 16, 17, 21, 24, 26, 27, 30, 32, 33, 39.
//
// `make test-faults` runs it (root, build tag faults). MOSS_FAULT_SAMPLE crash points per command are drawn with
// MOSS_FAULT_SEED, so that a failure can be repeated; MOSS_FAULT_SAMPLE=0 visits every call. Tests only.
package faults
