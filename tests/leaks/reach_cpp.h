/*
 * reach_cpp - shapes that C++ makes, for reach.c
 */
#ifndef REACH_CPP_H
#define REACH_CPP_H

#ifdef __cplusplus
extern "C" {
#endif

void cpp_map_lost(void);
void cpp_map_kept(void);
void cpp_vector_lost(void);
void cpp_cycle(void);
void cpp_array(void);
void cpp_second_base(void);

#ifdef __cplusplus
}
#endif

#endif
